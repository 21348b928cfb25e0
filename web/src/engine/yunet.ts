// YuNet (Wu et al., Machine Intelligence Research, 2023): boxes, landmarks and scores of a picture's faces, as
// src/mien/runtime/yunet.py computes them.

import { clamp, type Detection, overlap, type Point, type Rgba } from "./pixels.ts";
import type { Network } from "./tensors.ts";

const STRIDES = [8, 16, 32] as const;
const MAX_DETECTIONS = 5000;

/** One output map of the network, a row a cell, row by row of the map. */
export interface Maps {
  /** (cells): their geometric mean is the score. */
  readonly cls: Float32Array;
  readonly obj: Float32Array;
  /** (cells, 4): centre relative to the cell and logarithm of the size, in strides. */
  readonly bbox: Float32Array;
  /** (cells, 10): five points relative to the cell, in strides. */
  readonly kps: Float32Array;
}

export class YuNet {
  readonly #network: Network;
  readonly #minScore: number;
  readonly #maxOverlap: number;

  /** minScore: detections with a lower score are left out; maxOverlap: as in notOverlapping. */
  constructor(network: Network, minScore: number, maxOverlap: number) {
    this.#network = network;
    this.#minScore = minScore;
    this.#maxOverlap = maxOverlap;
  }

  /** The faces that the network sees in a picture, in its pixels, by falling score. */
  async detect(image: Rgba): Promise<Detection[]> {
    const { data, shape } = planes(image);
    const outputs = await this.#network.run({ type: "float32", data, shape });
    const of = (name: keyof Maps, stride: number): Float32Array => {
      const values = outputs[`${name}_${stride}`];
      if (values === undefined) throw new Error("the face detector is not YuNet");
      return values;
    };
    const faces = STRIDES.flatMap((stride) => {
      const maps = { cls: of("cls", stride), obj: of("obj", stride), bbox: of("bbox", stride), kps: of("kps", stride) };
      return decode(maps, stride, shape[3] / stride, this.#minScore);
    });
    return notOverlapping(faces, this.#maxOverlap, MAX_DETECTIONS).map((index) => faces[index]!);
  }
}

/** The picture as (1, 3, H, W) float32, 0..255, blue, green, red; nothing lies beyond its right and lower edge. */
function planes(image: Rgba): { data: Float32Array; shape: [number, number, number, number] } {
  const largest = STRIDES[2];
  const width = Math.ceil(image.width / largest) * largest;
  const height = Math.ceil(image.height / largest) * largest;
  const size = width * height;
  const data = new Float32Array(3 * size);
  for (let y = 0, at = 0; y < image.height; y += 1) {
    for (let x = 0, to = y * width; x < image.width; x += 1, at += 4, to += 1) {
      data[to] = image.data[at + 2]!;
      data[to + size] = image.data[at + 1]!;
      data[to + 2 * size] = image.data[at]!;
    }
  }
  return { data, shape: [1, 3, height, width] };
}

/** The detections of one output map whose score is minScore or more. */
export function decode(maps: Maps, stride: number, columns: number, minScore: number): Detection[] {
  const detections: Detection[] = [];
  const least = Math.fround(minScore);
  maps.cls.forEach((value, cell) => {
    const score = Math.fround(Math.sqrt(Math.fround(clamp(value, 0, 1) * clamp(maps.obj[cell]!, 0, 1))));
    if (score < least) return;
    const column = cell % columns;
    const row = Math.floor(cell / columns);
    const box = maps.bbox.subarray(cell * 4, cell * 4 + 4);
    const width = Math.exp(box[2]!) * stride;
    const height = Math.exp(box[3]!) * stride;
    const x = (box[0]! + column) * stride - width / 2;
    const y = (box[1]! + row) * stride - height / 2;
    const landmarks: Point[] = [];
    for (let at = cell * 10; at < cell * 10 + 10; at += 2) {
      landmarks.push({ x: (maps.kps[at]! + column) * stride, y: (maps.kps[at + 1]! + row) * stride });
    }
    detections.push({ box: { x, y, width, height }, score, landmarks });
  });
  return detections;
}

/**
 * Indexes of the detections without those that overlap a better one by more than maxOverlap (intersection over union),
 * by falling score, of the `most` best ones; in float32 as OpenCV's NMSBoxes.
 */
export function notOverlapping(faces: readonly Detection[], maxOverlap: number, most = Infinity): number[] {
  const order = [...faces.keys()].filter((index) => faces[index]!.score! > 0);
  order.sort((one, other) => faces[other]!.score! - faces[one]!.score!);
  const [kept, least]: [number[], number] = [[], Math.fround(maxOverlap)];
  for (const index of order.slice(0, most)) {
    const isFree = kept.every((other) => {
      const distance = Math.fround(1 - overlap(faces[index]!.box, faces[other]!.box));
      return Math.fround(1 - distance) <= least;
    });
    if (isFree) kept.push(index);
  }
  return kept;
}
