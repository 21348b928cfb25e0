// The roll of a head, as in src/mien/runtime/head_roll.py.

import { type Point, rint } from "./pixels.ts";

// The mean of YuNet's landmarks on upright faces, centred, in units of their spread.
const UPRIGHT: readonly Point[] = [
  { x: -1.03, y: -1.14 },
  { x: 1.06, y: -1.12 },
  { x: -0.06, y: 0.11 },
  { x: -0.83, y: 1.06 },
  { x: 0.86, y: 1.08 },
];

/** Degrees below which a lean does not count. */
export const LEAST_ROLL = 10;

/**
 * A face's clockwise roll in degrees, -180..180; 0 without landmarks. One that leans from a multiple of 90 degrees by
 * less than LEAST_ROLL is rolled by that multiple.
 */
export function faceRoll(landmarks: readonly Point[] | null): number {
  if (landmarks === null) return 0;
  const roll = shownRoll(landmarks);
  const quarters = 90 * rint(roll / 90);
  return Math.abs(roll - quarters) < LEAST_ROLL ? quarters : roll;
}

/** By how many degrees five landmarks are turned clockwise against an upright face's, -180..180. */
export function shownRoll(landmarks: readonly Point[]): number {
  const middleX = landmarks.reduce((sum, point) => sum + point.x, 0) / landmarks.length;
  const middleY = landmarks.reduce((sum, point) => sum + point.y, 0) / landmarks.length;
  let across = 0;
  let along = 0;
  UPRIGHT.forEach((upright, index) => {
    const x = landmarks[index]!.x - middleX;
    const y = landmarks[index]!.y - middleY;
    across += upright.x * y - upright.y * x;
    along += upright.x * x + upright.y * y;
  });
  return Math.atan2(across, along) * (180 / Math.PI);
}
