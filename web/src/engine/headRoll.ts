// The roll of a head, as in src/mien/runtime/head_roll.py, and turning it upright as OpenCV's warpAffine does.

import type { Box } from "../record.ts";
import { clamp, type Grey, type Point, rint } from "./pixels.ts";

// The mean of YuNet's landmarks on upright faces, centred, in units of their spread.
const UPRIGHT: readonly Point[] = [
  { x: -1.03, y: -1.14 },
  { x: 1.06, y: -1.12 },
  { x: -0.06, y: 0.11 },
  { x: -0.83, y: 1.06 },
  { x: 0.86, y: 1.08 },
];

/** YuNet's landmarks show less roll than there is: the angle is multiplied by this. */
const ROLL_GAIN = 1.4;

/** Degrees that landmarks show at most of a face that YuNet found in an upright picture, not in a turned one. */
const MOST_LEAN = 50;

/** Degrees below which a face counts as upright. */
const LEAST_ROLL = 10;

/** A face's clockwise roll in degrees, -180..180; 0 where it is below LEAST_ROLL, and without landmarks. */
export function faceRoll(landmarks: readonly Point[] | null): number {
  if (landmarks === null) return 0;
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
  const shown = Math.atan2(across, along) * (180 / Math.PI);
  const quarters = Math.abs(shown) <= MOST_LEAN ? 0 : Math.max(1, rint(Math.abs(shown) / 90));
  const turn = Math.sign(shown) * 90 * quarters;
  const gained = turn + ROLL_GAIN * (shown - turn);
  const roll = gained - 360 * rint(gained / 360);
  return Math.abs(roll) >= LEAST_ROLL ? roll : 0;
}

/** The pixels of a square that is rolled clockwise about its centre, turned upright, and the square's place in them. */
export function turnedBack(grey: Grey, square: Box, roll: number): { grey: Grey; square: Box } {
  // The crop's windows need two more pixels on each side.
  const side = Math.ceil(square.width) + 4;
  const cos = Math.cos((roll * Math.PI) / 180);
  const sin = Math.sin((roll * Math.PI) / 180);
  // As in Python, pixels beyond the square's reach are cut away first: the fixed-point positions count from there.
  const left = firstReached(square.x + square.width / 2, side, grey.width);
  const top = firstReached(square.y + square.height / 2, side, grey.height);
  const x = square.x - left + square.width / 2 - 0.5;
  const y = square.y - top + square.height / 2 - 0.5;
  const middle = (side - 1) / 2;
  // Where a pixel of the upright square lies in the picture: the inverse of the turn, as warpAffine takes it.
  const shiftX = middle - (cos * x + sin * y);
  const shiftY = middle - (-sin * x + cos * y);
  const scale = 1 / (cos * cos + sin * sin);
  const [c, s] = [cos * scale, sin * scale];
  const turned = rotated(grey, left, top, side, c, s, -c * shiftX + s * shiftY, -s * shiftX - c * shiftY);
  const start = (side - square.width) / 2;
  return { grey: turned, square: { x: start, y: start, width: square.width, height: square.height } };
}

function firstReached(middle: number, side: number, length: number): number {
  return clamp(Math.floor(middle - 0.71 * side) - 1, 0, length - 1);
}

/**
 * (side, side) of the picture at (left + c x - s y + x0, top + s x + c y + y0), by bilinear interpolation, the edge
 * repeated. Positions have 5 bits of fraction, rounded from 10, as in OpenCV's warpAffine: the same to the last bit.
 */
function rotated(
  { data, width, height }: Grey,
  left: number,
  top: number,
  side: number,
  c: number,
  s: number,
  x0: number,
  y0: number,
): Grey {
  const result = new Uint8Array(side * side);
  const stepsX = Int32Array.from({ length: side }, (_, x) => rint(c * x * 1024));
  const stepsY = Int32Array.from({ length: side }, (_, x) => rint(s * x * 1024));
  for (let y = 0; y < side; y += 1) {
    const startX = rint((-s * y + x0) * 1024) + 16;
    const startY = rint((c * y + y0) * 1024) + 16;
    for (let x = 0; x < side; x += 1) {
      const atX = (startX + stepsX[x]!) >> 5;
      const atY = (startY + stepsY[x]!) >> 5;
      const right = atX & 31;
      const down = atY & 31;
      const column0 = clamp(left + (atX >> 5), 0, width - 1);
      const column1 = clamp(left + (atX >> 5) + 1, 0, width - 1);
      const row0 = clamp(top + (atY >> 5), 0, height - 1) * width;
      const row1 = clamp(top + (atY >> 5) + 1, 0, height - 1) * width;
      const upper = data[row0 + column0]! * (32 - right) + data[row0 + column1]! * right;
      const lower = data[row1 + column0]! * (32 - right) + data[row1 + column1]! * right;
      result[y * side + x] = (upper * (32 - down) + lower * down + 512) >> 10;
    }
  }
  return { data: result, width: side, height: side };
}
