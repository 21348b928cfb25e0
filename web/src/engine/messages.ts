// The messages between the page and the engine's worker.

import type { PictureRecord } from "../record.ts";
import type { AnalyzeOptions } from "./analyzer.ts";
import type { EngineConfig } from "./config.ts";
import type { Detection, Rgba } from "./pixels.ts";

/** Where the engine's files lie: absolute addresses. */
export interface EngineAddresses {
  /** ort-wasm-simd-threaded.wasm of onnxruntime-web. */
  readonly wasm: string;
  readonly model: string;
  /** YuNet; null: the user marks the faces. */
  readonly detector: string | null;
}

/** The worker's tasks: what a request holds, and what its response holds. */
export interface Tasks {
  /** The response is whether faces can be detected. */
  open: { request: { config: EngineConfig; files: EngineAddresses; key: string | undefined }; response: boolean };
  analyze: { request: { image: ImageBitmap | Rgba; options: AnalyzeOptions }; response: PictureRecord };
  detect: { request: { image: ImageBitmap; stream: boolean }; response: Detection[] };
  classify: { request: { faces: Uint8Array }; response: Float32Array };
  reset: { request: Record<never, never>; response: null };
}

export type Kind = keyof Tasks;

export type WorkerRequest = { [K in Kind]: { id: number; kind: K } & Tasks[K]["request"] }[Kind];

export type WorkerResponse =
  | { id: number; value: Tasks[Kind]["response"] }
  | { id: number; error: string }
  | { progress: number };
