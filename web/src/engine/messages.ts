// What the page and the engine's worker say to each other.

import type { PageConfig, PictureRecord } from "../record.ts";
import type { AnalyzeOptions } from "./analyzer.ts";
import type { Detection } from "./pixels.ts";

/** What the worker can be asked, and what it answers. */
export interface Tasks {
  /** The addresses in the config are absolute. The answer is whether faces can be detected. */
  open: { asks: { config: PageConfig; key: string | undefined }; answers: boolean };
  analyze: { asks: { image: ImageBitmap; options: AnalyzeOptions }; answers: PictureRecord };
  detect: { asks: { image: ImageBitmap }; answers: Detection[] };
  classify: { asks: { faces: Uint8Array }; answers: Float32Array };
  reset: { asks: Record<never, never>; answers: null };
}

export type Kind = keyof Tasks;

export type Request = { [K in Kind]: { id: number; kind: K } & Tasks[K]["asks"] }[Kind];

export type Answer =
  | { id: number; value: Tasks[Kind]["answers"] }
  | { id: number; error: string }
  | { progress: number };
