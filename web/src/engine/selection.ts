// Which detections are reported, and in which order, as src/mien/options.py has it.

import type { Box } from "../record.ts";
import type { EngineConfig } from "./config.ts";
import type { Detection } from "./pixels.ts";

/** The faces to report of all that were detected in a picture, the largest first. */
export function selected(faces: readonly Detection[], config: EngineConfig): Detection[] {
  const isWanted = ({ box, score }: Detection): boolean => {
    const shorter = Math.min(box.width, box.height);
    return shorter > 0 && shorter >= config.min_face && (score === null || score >= config.min_face_score);
  };
  return bySize(faces.filter(isWanted), (face) => face.box).slice(0, config.max_faces ?? Infinity);
}

/** From left to right, or the largest first. */
export function ordered<T>(faces: readonly T[], boxOf: (face: T) => Box, order: EngineConfig["order"]): T[] {
  if (order === "size") return bySize(faces, boxOf);
  return faces.toSorted((one, other) => boxOf(one).x - boxOf(other).x || boxOf(one).y - boxOf(other).y);
}

function bySize<T>(faces: readonly T[], boxOf: (face: T) => Box): T[] {
  const area = (face: T): number => Math.max(0, boxOf(face).width) * Math.max(0, boxOf(face).height);
  return faces.toSorted((one, other) => area(other) - area(one));
}
