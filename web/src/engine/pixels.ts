// What the stages pass on: pictures as rows of bytes, and detections.

import type { Box } from "../record.ts";

/** (height, width, 4) bytes: red, green, blue, and alpha, which is 255. ImageData is one. */
export interface Rgba {
  readonly data: Uint8ClampedArray | Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** (height, width) bytes. */
export interface Grey {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** One detected face, in pixels of the picture, not clipped: Detection of src/mien/types.py. */
export interface Detection {
  readonly box: Box;
  /** 0..1; null where the user drew the box. */
  readonly score: number | null;
  /** Right eye, left eye, nose tip, right and left corner of the mouth (the person's right); null where unknown. */
  readonly landmarks: readonly Point[] | null;
}

/** The nearest whole number, halves to the even one: C's rint, numpy's and OpenCV's rounding, Python's round. */
export function rint(value: number): number {
  const low = Math.floor(value);
  const rest = value - low;
  if (rest !== 0.5) return rest < 0.5 ? low : low + 1;
  return low % 2 === 0 ? low : low + 1;
}

export function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}

/** The detection in a copy of the picture that is `across` times as wide and `down` times as high. */
export function scaled(detection: Detection, across: number, down: number): Detection {
  const { x, y, width, height } = detection.box;
  return {
    box: { x: x * across, y: y * down, width: width * across, height: height * down },
    score: detection.score,
    landmarks: detection.landmarks && detection.landmarks.map((point) => ({ x: point.x * across, y: point.y * down })),
  };
}

/** Intersection over union, 0..1. */
export function overlap(one: Box, other: Box): number {
  const across = Math.min(one.x + one.width, other.x + other.width) - Math.max(one.x, other.x);
  const down = Math.min(one.y + one.height, other.y + other.height) - Math.max(one.y, other.y);
  const shared = Math.max(0, across) * Math.max(0, down);
  const union = one.width * one.height + other.width * other.height - shared;
  return union > 0 ? shared / union : 0;
}

/** The pixels of a picture. Transparent parts are laid over white, as in src/mien/images/decode.py. */
export function readPixels(image: ImageBitmap): Rgba {
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  if (context === null) throw new Error("this browser cannot read the picture's pixels: it has no memory for them");
  context.fillStyle = "white";
  context.fillRect(0, 0, image.width, image.height);
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, image.width, image.height);
}
