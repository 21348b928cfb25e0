// The engine's worker: it does one task after the other, so that the page stays responsive.

import type { Analyzer } from "./analyzer.ts";
import { download, type Remote } from "./download.ts";
import type { WorkerResponse, Kind, WorkerRequest, Tasks } from "./messages.ts";
import { overWhite, readPixels, type Rgba } from "./pixels.ts";
import { setUp } from "./setup.ts";

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
  if (request.kind === "open") return open(request);
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

/** The pixels of a picture; an ImageBitmap is closed. */
function pixelsOf(image: ImageBitmap | Rgba): Rgba {
  if (!(image instanceof ImageBitmap)) return overWhite(image);
  try {
    return readPixels(image);
  } finally {
    image.close();
  }
}

/** Fetch all files and set them up, so that nothing is fetched later. */
async function open({ config, files, key }: Tasks["open"]["request"]): Promise<boolean> {
  const remotes: Remote[] = [
    { name: "the WebAssembly engine", url: files.wasm, needsKey: false, size: 14.2e6 },
    { name: "the model", url: files.model, needsKey: true, size: 3.3e6 },
  ];
  if (files.detector !== null) {
    remotes.push({ name: "the face detector", url: files.detector, needsKey: true, size: 230e3 });
  }
  const [wasm, model, detector = null] = await download(remotes, key, (progress) => post({ progress }));
  analyzer = await setUp({ wasm: wasm!.buffer, model: model!, detector }, config);
  return analyzer.canDetect;
}
