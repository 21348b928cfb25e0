// Pictures turned about themselves, as in src/mien/runtime/turning.py: by multiples of 90 degrees, and, for a square of
// them, by any angle, as OpenCV's warpAffine does.

import type { Box } from "../record.ts";
import { clamp, type Detection, type Grey, type Point, type Rgba, rint } from "./pixels.ts";

/** Degrees clockwise. */
export type Turn = 0 | 90 | 180 | 270;

export const QUARTERS = [90, 180, 270] as const;

/** The picture turned clockwise. */
export function turned(image: Rgba, degrees: Turn): Rgba {
  if (degrees === 0) return image;
  const [width, height] = degrees === 180 ? [image.width, image.height] : [image.height, image.width];
  // Where the first pixel of the result comes from, and the steps from there to the right and down.
  const start = {
    90: (image.height - 1) * image.width,
    180: image.height * image.width - 1,
    270: image.width - 1,
  }[degrees];
  const across = { 90: -image.width, 180: -1, 270: image.width }[degrees];
  const down = { 90: 1, 180: -image.width, 270: -1 }[degrees];
  const from = new Uint32Array(image.data.buffer, image.data.byteOffset, image.width * image.height);
  const to = new Uint32Array(width * height);
  for (let row = 0, at = 0; row < height; row += 1) {
    for (let column = 0, pixel = start + row * down; column < width; column += 1, at += 1, pixel += across) {
      to[at] = from[pixel]!;
    }
  }
  return { data: new Uint8ClampedArray(to.buffer), width, height };
}

/** A detection in a picture that was turned clockwise, in pixels of the picture as it was. */
export function turnedBack(face: Detection, degrees: Turn, { width, height }: Rgba): Detection {
  if (degrees === 0) return face;
  const { box } = face;
  const back = ({ x, y }: Point): Point => {
    if (degrees === 90) return { x: y, y: height - x };
    if (degrees === 180) return { x: width - x, y: height - y };
    return { x: width - y, y: x };
  };
  const middle = back({ x: box.x + box.width / 2, y: box.y + box.height / 2 });
  const [across, down] = degrees === 180 ? [box.width, box.height] : [box.height, box.width];
  return {
    box: { x: middle.x - across / 2, y: middle.y - down / 2, width: across, height: down },
    score: face.score,
    landmarks: face.landmarks && face.landmarks.map(back),
  };
}

/** The pixels of a square that is rolled clockwise about its centre, turned upright, and the square's place in them. */
export function turnedUpright<T extends Grey | Rgba>(image: T, square: Box, roll: number): { image: T; square: Box } {
  // The crop's windows need two more pixels on each side.
  const side = Math.ceil(square.width) + 4;
  const cos = Math.cos((roll * Math.PI) / 180);
  const sin = Math.sin((roll * Math.PI) / 180);
  // As in Python, pixels beyond the square's reach are cut away first: the fixed-point positions count from there.
  const left = firstReached(square.x + square.width / 2, side, image.width);
  const top = firstReached(square.y + square.height / 2, side, image.height);
  const x = square.x - left + square.width / 2 - 0.5;
  const y = square.y - top + square.height / 2 - 0.5;
  const middle = (side - 1) / 2;
  // Where a pixel of the upright square lies in the picture: the inverse of the turn, as warpAffine takes it.
  const shiftX = middle - (cos * x + sin * y);
  const shiftY = middle - (-sin * x + cos * y);
  const scale = 1 / (cos * cos + sin * sin);
  const [c, s] = [cos * scale, sin * scale];
  const data = rotated(image, left, top, side, c, s, -c * shiftX + s * shiftY, -s * shiftX - c * shiftY);
  const start = (side - square.width) / 2;
  const turned = { data, width: side, height: side } as T; // as many values a pixel as before
  return { image: turned, square: { x: start, y: start, width: square.width, height: square.height } };
}

function firstReached(middle: number, side: number, length: number): number {
  return clamp(Math.floor(middle - 0.71 * side) - 1, 0, length - 1);
}

/**
 * (side, side) of the picture at (left + c x - s y + x0, top + s x + c y + y0), by bilinear interpolation, the edge
 * repeated. Positions have 5 bits of fraction, rounded from 10, as in OpenCV's warpAffine: the same to the last bit.
 */
function rotated(
  { data, width, height }: Grey | Rgba,
  left: number,
  top: number,
  side: number,
  c: number,
  s: number,
  x0: number,
  y0: number,
): Uint8Array {
  const values = data.length / (width * height); // of a pixel
  const result = new Uint8Array(side * side * values);
  const stepsX = Int32Array.from({ length: side }, (_, x) => rint(c * x * 1024));
  const stepsY = Int32Array.from({ length: side }, (_, x) => rint(s * x * 1024));
  for (let y = 0, at = 0; y < side; y += 1) {
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
      for (let value = 0; value < values; value += 1, at += 1) {
        const upper =
          data[(row0 + column0) * values + value]! * (32 - right) + data[(row0 + column1) * values + value]! * right;
        const lower =
          data[(row1 + column0) * values + value]! * (32 - right) + data[(row1 + column1) * values + value]! * right;
        result[at] = (upper * (32 - down) + lower * down + 512) >> 10;
      }
    }
  }
  return result;
}
