// The detector's copies of a picture, as src/mien/runtime/resize.py makes them, equal to OpenCV's in every bit:
// INTER_AREA where they shrink, INTER_LINEAR where they grow.

import { clamp, type Rgba, rint } from "./pixels.ts";

/** The weight of input pixel `from` in output pixel `to`, along one axis. */
interface Contribution {
  readonly to: number;
  readonly from: number;
  readonly weight: number;
}

/** The picture itself, or a copy `scale` times as wide and high; no side is below 1. */
export function scaled(image: Rgba, scale: number): Rgba {
  const width = Math.max(1, rint(image.width * scale));
  const height = Math.max(1, rint(image.height * scale));
  if (width === image.width && height === image.height) return image;
  return scale < 1 ? shrunk(image, width, height) : grown(image, width, height);
}

/** The picture itself, or a copy whose longer side is within minSide and maxSide; no side is below 1. */
export function fitted(image: Rgba, minSide: number, maxSide: number): Rgba {
  const longer = Math.max(image.width, image.height);
  return scaled(image, clamp(longer, minSide, maxSide) / longer);
}

/** Each pixel of the copy is the mean of the picture below it. */
export function shrunk(image: Rgba, width: number, height: number): Rgba {
  const across = image.width / width;
  const down = image.height / height;
  const data = new Uint8ClampedArray(width * height * 4).fill(255);
  const copy = { data, width, height };
  if (Number.isInteger(across) && Number.isInteger(down)) meansOfWholePixels(image, across, down, copy);
  else weightedMeans(image, contributions(image.width, width), contributions(image.height, height), copy);
  return copy;
}

function meansOfWholePixels(image: Rgba, across: number, down: number, { data, width, height }: Rgba): void {
  const weight = Math.fround(1 / (across * down));
  const isHalf = across === 2 && down === 2;
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, at += 4) {
      for (let channel = 0; channel < 3; channel += 1) {
        let sum = 0;
        for (let row = 0; row < down; row += 1) {
          const start = ((y * down + row) * image.width + x * across) * 4 + channel;
          for (let column = 0; column < across; column += 1) sum += image.data[start + column * 4]!;
        }
        // OpenCV halves pictures in whole numbers, where a half is rounded up.
        data[at + channel] = isHalf ? (sum + 2) >> 2 : rint(Math.fround(sum * weight));
      }
    }
  }
}

/** In float32, in OpenCV's order: along rows first, then down. */
function weightedMeans(
  image: Rgba,
  across: readonly Contribution[],
  down: readonly Contribution[],
  { data, width }: Rgba,
): void {
  const from = Int32Array.from(across, (one) => one.from * 4);
  const to = Int32Array.from(across, (one) => one.to * 3);
  const weights = Float32Array.from(across, (one) => one.weight);
  const row = new Float32Array(width * 3);
  const sums = new Float32Array(width * 3);
  let current = -1;
  down.forEach((one, index) => {
    if (one.from !== current) {
      current = one.from;
      row.fill(0);
      const start = current * image.width * 4;
      for (let i = 0; i < weights.length; i += 1) {
        const pixel = start + from[i]!;
        const cell = to[i]!;
        const weight = weights[i]!;
        row[cell]! += Math.fround(image.data[pixel]! * weight);
        row[cell + 1]! += Math.fround(image.data[pixel + 1]! * weight);
        row[cell + 2]! += Math.fround(image.data[pixel + 2]! * weight);
      }
    }
    const weight = Math.fround(one.weight);
    for (let i = 0; i < sums.length; i += 1) sums[i]! += Math.fround(row[i]! * weight);
    if (down[index + 1]?.to === one.to) return;
    for (let x = 0, at = one.to * width * 4; x < width; x += 1, at += 4) {
      for (let channel = 0; channel < 3; channel += 1) data[at + channel] = rint(sums[x * 3 + channel]!);
    }
    sums.fill(0);
  });
}

/** The contributions to each output pixel in turn. Those below a thousandth of a pixel are left out, as in OpenCV. */
function contributions(length: number, wanted: number): Contribution[] {
  const scale = length / wanted;
  const result: Contribution[] = [];
  for (let to = 0; to < wanted; to += 1) {
    const low = to * scale;
    const high = low + scale;
    const size = Math.min(scale, length - low);
    const last = Math.min(Math.floor(high), length - 1);
    const first = Math.min(Math.ceil(low), last);
    if (first - low > 1e-3) result.push({ to, from: first - 1, weight: (first - low) / size });
    for (let from = first; from < last; from += 1) result.push({ to, from, weight: 1 / size });
    if (high - last > 1e-3) result.push({ to, from: last, weight: Math.min(high - last, 1, size) / size });
  }
  return result;
}

/** Bilinear, with weights of 11 bits. */
export function grown(image: Rgba, width: number, height: number): Rgba {
  const data = new Uint8ClampedArray(width * height * 4).fill(255);
  const across = neighbours(image.width, width);
  const down = neighbours(image.height, height);
  const step = image.width * 4;
  for (let y = 0, at = 0; y < height; y += 1) {
    const upper = down.first[y]! * step;
    const lower = down.second[y]! * step;
    const above = 2048 - down.weight[y]!;
    const below = down.weight[y]!;
    for (let x = 0; x < width; x += 1, at += 4) {
      const left = across.first[x]! * 4;
      const right = across.second[x]! * 4;
      const one = 2048 - across.weight[x]!;
      const other = across.weight[x]!;
      for (let channel = 0; channel < 3; channel += 1) {
        const high = image.data[upper + left + channel]! * one + image.data[upper + right + channel]! * other;
        const low = image.data[lower + left + channel]! * one + image.data[lower + right + channel]! * other;
        data[at + channel] = (((above * (high >> 4)) >> 16) + ((below * (low >> 4)) >> 16) + 2) >> 2;
      }
    }
  }
  return { data, width, height };
}

/** For each output pixel along one axis the two pixels it lies between, and the weight of the second, of 2048. */
function neighbours(length: number, wanted: number): Record<"first" | "second" | "weight", Int32Array> {
  const [first, second, weight] = [new Int32Array(wanted), new Int32Array(wanted), new Int32Array(wanted)];
  const scale = length / wanted;
  for (let to = 0; to < wanted; to += 1) {
    const at = Math.fround((to + 0.5) * scale - 0.5);
    const low = Math.floor(at);
    first[to] = clamp(low, 0, length - 1);
    second[to] = clamp(low + 1, 0, length - 1);
    weight[to] = rint((at - low) * 2048);
  }
  return { first, second, weight };
}
