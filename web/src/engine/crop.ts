// From a box to the 48x48 grey face that the network reads. src/mien/runtime/crops.py has the rule in words, and
// tests/runtime/golden tests both.

import type { CropRule } from "../config.ts";
import type { Box } from "../record.ts";
import { clamp, type Grey, rint } from "./pixels.ts";
import { turnedUpright } from "./turning.ts";

/** Width and height of a face in pixels. */
export const FACE_SIZE = 48;

/** One axis of the square: for each of its cells the first pixel of the picture, and the weights from there on. */
interface Cells {
  readonly starts: Int32Array;
  readonly weights: readonly Float64Array[];
}

/**
 * The square that the rule gives for a box; it may reach over the picture's edge. roll is the face's clockwise tilt in
 * degrees: the rule goes by the box as it would be upright, turned to the nearest multiple of 90 degrees.
 */
export function cropSquare(box: Box, rule: CropRule, roll = 0): Box {
  const turns = (rint(roll / 90) + 4) % 4;
  const [width, height] = turns % 2 === 1 ? [box.height, box.width] : [box.width, box.height];
  const [right, below] = [(rule.x - 0.5) * width, (rule.y - 0.5) * height];
  const shifts = [[right, below], [-below, right], [-right, -below], [below, -right]] as const;
  const [across, down] = shifts[turns]!;
  const side = rule.side * height;
  const x = box.x + box.width / 2 + across;
  const y = box.y + box.height / 2 + down;
  return { x: x - side / 2, y: y - side / 2, width: side, height: side };
}

/** The face in a box, 48 * 48 bytes row by row; roll is its clockwise tilt in degrees. */
export function cropFace(grey: Grey, box: Box, rule: CropRule, roll = 0): Uint8Array {
  let square = cropSquare(box, rule, roll);
  if (!(square.width > 0 && [square.x, square.y, square.width].every(Number.isFinite))) {
    throw new Error(`expected a box of a positive size, got ${JSON.stringify(box)}`);
  }
  if (roll !== 0) ({ image: grey, square } = turnedUpright(grey, square, roll));
  const down = cells(square.y, square.height, grey.height);
  const across = cells(square.x, square.width, grey.width);
  const from = across.starts[0]!;
  const to = across.starts[FACE_SIZE - 1]! + across.weights[FACE_SIZE - 1]!.length;

  const face = new Uint8Array(FACE_SIZE * FACE_SIZE);
  const means = new Float64Array(to - from);
  for (let row = 0; row < FACE_SIZE; row += 1) {
    means.fill(0);
    const first = down.starts[row]!;
    down.weights[row]!.forEach((weight, index) => {
      const start = (first + index) * grey.width + from;
      for (let i = 0; i < means.length; i += 1) means[i]! += weight * grey.data[start + i]!;
    });
    for (let column = 0; column < FACE_SIZE; column += 1) {
      const weights = across.weights[column]!;
      const start = across.starts[column]! - from;
      let mean = 0;
      for (let i = 0; i < weights.length; i += 1) mean += weights[i]! * means[start + i]!;
      // A millionth is added so that a half is rounded up in any arithmetic.
      face[row * FACE_SIZE + column] = clamp(Math.floor(mean + (0.5 + 1e-6)), 0, 255);
    }
  }
  return face;
}

/** start and side are the square's on this axis, length is the picture's, in pixels. */
function cells(start: number, side: number, length: number): Cells {
  const cell = side / FACE_SIZE;
  const window = Math.max(cell, 1);
  const starts = new Int32Array(FACE_SIZE);
  const weights: Float64Array[] = [];
  for (let index = 0; index < FACE_SIZE; index += 1) {
    // Beyond the edge every window reads the same pixel; staying near it keeps far squares exact.
    const centre = clamp(start + cell * (index + 0.5), -window, length + window);
    const low = centre - window / 2;
    const high = centre + window / 2;
    const first = clamp(Math.floor(low), 0, length - 1);
    const last = clamp(Math.ceil(high), first + 1, length);
    const covered = new Float64Array(last - first);
    let sum = 0;
    for (let pixel = first; pixel < last; pixel += 1) {
      const left = pixel === 0 ? -Infinity : pixel;
      const right = pixel === length - 1 ? Infinity : pixel + 1;
      const part = Math.max(0, Math.min(high, right) - Math.max(low, left));
      covered[pixel - first] = part;
      sum += part;
    }
    starts[index] = first;
    weights.push(covered.map((part) => part / sum));
  }
  return { starts, weights };
}
