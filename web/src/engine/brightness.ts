// Dark pictures made bright enough for the detector, as src/mien/runtime/brightness.py makes them.

import type { Rgba } from "./pixels.ts";

const STEP = 8;
const FRACTION = 0.99;

/** The picture; where 99 of 100 values are below `dark`, all are scaled so that these are below `bright`. */
export function brightened(image: Rgba, dark: number, bright: number): Rgba {
  const level = highest(image);
  if (level <= 1 || level >= dark) return image;
  const scaled = Uint8Array.from({ length: 256 }, (_, value) =>
    Math.min(255, Math.floor(value * (bright / level) + 0.5)),
  );
  const data = new Uint8ClampedArray(image.data.length);
  for (let at = 0; at < data.length; at += 4) {
    data[at] = scaled[image.data[at]!]!;
    data[at + 1] = scaled[image.data[at + 1]!]!;
    data[at + 2] = scaled[image.data[at + 2]!]!;
    data[at + 3] = 255;
  }
  return { data, width: image.width, height: image.height };
}

/** The least value that 99 of 100 of those looked at do not exceed. */
function highest({ data, width, height }: Rgba): number {
  const counts = new Array<number>(256).fill(0);
  let total = 0;
  for (let row = 0; row < height; row += STEP) {
    for (let column = 0; column < width; column += STEP) {
      const at = 4 * (row * width + column);
      for (let channel = 0; channel < 3; channel++) counts[data[at + channel]!]!++;
      total += 3;
    }
  }
  let sum = 0;
  return counts.findIndex((count) => (sum += count) >= FRACTION * total);
}
