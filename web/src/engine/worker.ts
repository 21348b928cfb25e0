// All of the engine's work is done in this one worker, a task after the other, so that the page stays smooth.

import wasmUrl from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import type { PageConfig } from "../record.ts";
import { Analyzer } from "./analyzer.ts";
import { Classifier } from "./classifier.ts";
import { FACE_SIZE } from "./crop.ts";
import { download, type Remote } from "./download.ts";
import type { Answer, Kind, Request, Tasks } from "./messages.ts";
import { openNetwork, prepare } from "./network.ts";
import { readPixels, type Rgba } from "./pixels.ts";
import { YuNet } from "./yunet.ts";

let analyzer: Analyzer | null = null;
let last: Promise<void> = Promise.resolve();

self.onmessage = ({ data }: MessageEvent<Request>): void => {
  last = last.then(() => answer(data));
};

async function answer(request: Request): Promise<void> {
  try {
    const value = await perform(request);
    const transfer = value instanceof Float32Array ? [value.buffer] : [];
    post({ id: request.id, value }, transfer);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    post({ id: request.id, error: message.split("\n", 1)[0]! });
  }
}

function post(answer: Answer, transfer: Transferable[] = []): void {
  self.postMessage(answer, { transfer });
}

async function perform(request: Request): Promise<Tasks[Kind]["answers"]> {
  if (request.kind === "open") return open(request.config, request.key);
  if (analyzer === null) throw new Error("the engine is not open");
  switch (request.kind) {
    case "analyze":
      return analyzer.analyze(taken(request.image), request.options);
    case "detect":
      return analyzer.detect(taken(request.image));
    case "classify":
      return analyzer.classify(request.faces);
    case "reset":
      analyzer.reset();
      return null;
  }
}

/** The pixels of a picture, which is given up. */
function taken(image: ImageBitmap): Rgba {
  try {
    return readPixels(image);
  } finally {
    image.close();
  }
}

/** Fetch everything, and run each network once: nothing is fetched and nothing is set up after this. */
async function open(config: PageConfig, key: string | undefined): Promise<boolean> {
  const files: Remote[] = [
    { name: "the WebAssembly engine", url: new URL(wasmUrl, import.meta.url).href, isGuarded: false, size: 14.2e6 },
    { name: "the model", url: config.engine.model, isGuarded: true, size: 3.3e6 },
  ];
  if (config.engine.detector !== null) {
    files.push({ name: "the face detector", url: config.engine.detector, isGuarded: true, size: 230e3 });
  }
  const [wasm, model, detector] = await download(files, key, (progress) => post({ progress }));
  prepare(wasm!.buffer);
  const classifier = new Classifier(await openNetwork(model!, "the model"), config.classes.length);
  await classifier.probabilities(new Uint8Array(FACE_SIZE * FACE_SIZE));
  let yunet: YuNet | null = null;
  if (detector !== undefined) {
    yunet = new YuNet(await openNetwork(detector, "the face detector"));
    await yunet.detect({ data: new Uint8Array(160 * 120 * 4), width: 160, height: 120 }, "photo");
  }
  analyzer = new Analyzer(config, classifier, yunet);
  return yunet !== null;
}
