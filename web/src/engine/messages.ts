// The messages between the page and the engine's worker.

import type { PageConfig, PictureRecord } from "../record.ts";
import type { AnalyzeOptions } from "./analyzer.ts";
import type { Detection } from "./pixels.ts";

/** The worker's tasks: what a request holds, and what its response holds. */
export interface Tasks {
  /** The addresses in the config are absolute. The response is whether faces can be detected. */
  open: { request: { config: PageConfig; key: string | undefined }; response: boolean };
  analyze: { request: { image: ImageBitmap; options: AnalyzeOptions }; response: PictureRecord };
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
