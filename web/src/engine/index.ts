// The engine in the page: the same model file as in Python and the same predictions. No picture leaves the page.

import wasmUrl from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import type { PageConfig } from "../config.ts";
import { Engine, type OpenOptions } from "./engine.ts";

export type { Engine } from "./engine.ts";
export type { AnalyzeOptions } from "./analyzer.ts";
export { cropFace, cropSquare, FACE_SIZE } from "./crop.ts";
export { toGrey } from "./grey.ts";
export { detail, spans } from "./faceSearch.ts";
export type { Detection, Grey, Point, Rgba } from "./pixels.ts";
export { rounded } from "./output.ts";
export { fitted, scaled } from "./resize.ts";
export { headPose } from "./headPose.ts";
export { faceRoll } from "./headRoll.ts";
export { Smoother } from "./smoothing.ts";
export { Tracker } from "./tracker.ts";
export { turnedUpright } from "./turning.ts";
export { decode, notOverlapping } from "./yunet.ts";

/** Fetch the engine, the model and, if the page has it, the face detector, and set them up. */
export function openEngine(config: PageConfig, options: OpenOptions = {}): Promise<Engine> {
  const absolute = (url: string, base: string = document.baseURI): string => new URL(url, base).href;
  const { colors: _, engine: { model, detector }, service: __, ...known } = config;
  const files = {
    wasm: absolute(wasmUrl, import.meta.url),
    model: absolute(model),
    detector: detector === null ? null : absolute(detector),
  };
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "mien-engine" });
  return Engine.open(worker, files, known, options);
}
