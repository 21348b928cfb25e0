// The engine's worker: it does one task after the other, so that the page stays responsive.

import wasmUrl from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import type { PageConfig } from "../record.ts";
import { Analyzer } from "./analyzer.ts";
import { Classifier } from "./classifier.ts";
import { FACE_SIZE } from "./crop.ts";
import { download, type Remote } from "./download.ts";
import { FaceSearch } from "./faceSearch.ts";
import type { WorkerResponse, Kind, WorkerRequest, Tasks } from "./messages.ts";
import { openNetwork, prepare } from "./network.ts";
import { readPixels, type Rgba } from "./pixels.ts";
import { YuNet } from "./yunet.ts";

let analyzer: Analyzer | null = null;
let last: Promise<void> = Promise.resolve();

self.onmessage = ({ data }: MessageEvent<WorkerRequest>): void => {
  last = last.then(() => respond(data));
};

async function respond(request: WorkerRequest): Promise<void> {
  try {
    const value = await perform(request);
    const transfer = value instanceof Float32Array ? [value.buffer] : [];
    post({ id: request.id, value }, transfer);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    post({ id: request.id, error: message.split("\n", 1)[0]! });
  }
}

function post(response: WorkerResponse, transfer: Transferable[] = []): void {
  self.postMessage(response, { transfer });
}

async function perform(request: WorkerRequest): Promise<Tasks[Kind]["response"]> {
  if (request.kind === "open") return open(request.config, request.key);
  if (analyzer === null) throw new Error("the engine is not open");
  switch (request.kind) {
    case "analyze":
      return analyzer.analyze(pixelsOf(request.image), request.options);
    case "detect":
      return analyzer.detect(pixelsOf(request.image), request.stream);
    case "classify":
      return analyzer.classify(request.faces);
    case "reset":
      analyzer.reset();
      return null;
  }
}

/** The pixels of a picture, which is closed. */
function pixelsOf(image: ImageBitmap): Rgba {
  try {
    return readPixels(image);
  } finally {
    image.close();
  }
}

/** Fetch all files and run each network once, so that nothing is fetched or set up later. */
async function open(config: PageConfig, key: string | undefined): Promise<boolean> {
  const files: Remote[] = [
    { name: "the WebAssembly engine", url: new URL(wasmUrl, import.meta.url).href, needsKey: false, size: 14.2e6 },
    { name: "the model", url: config.engine.model, needsKey: true, size: 3.3e6 },
  ];
  if (config.engine.detector !== null) {
    files.push({ name: "the face detector", url: config.engine.detector, needsKey: true, size: 230e3 });
  }
  const [wasm, model, detector] = await download(files, key, (progress) => post({ progress }));
  prepare(wasm!.buffer);
  const classifier = new Classifier(await openNetwork(model!, "the model"), config.classes.length, config.prior_weights);
  await classifier.probabilities(new Uint8Array(FACE_SIZE * FACE_SIZE));
  let search: FaceSearch | null = null;
  if (detector !== undefined) {
    const { thorough_candidate_score, max_overlap } = config.search;
    const yunet = new YuNet(await openNetwork(detector, "the face detector"), thorough_candidate_score, max_overlap);
    await yunet.detect({ data: new Uint8Array(160 * 120 * 4), width: 160, height: 120 });
    search = new FaceSearch(yunet, config.search);
  }
  analyzer = new Analyzer(config, classifier, search);
  return search !== null;
}
