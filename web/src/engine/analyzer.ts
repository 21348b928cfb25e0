// The stages of one picture: detect its faces, crop them, classify them, and make a record.

import type { Box, PictureRecord } from "../record.ts";
import type { Classifier } from "./classifier.ts";
import type { EngineConfig } from "./config.ts";
import { cropFace, FACE_SIZE } from "./crop.ts";
import type { FaceSearch } from "./faceSearch.ts";
import { toGrey } from "./grey.ts";
import type { Detection, Rgba } from "./pixels.ts";
import { type Prediction, toRecord } from "./output.ts";
import { faceRoll } from "./headRoll.ts";
import { ordered, selected } from "./selection.ts";
import { Smoother } from "./smoothing.ts";
import { Tracker } from "./tracker.ts";

export interface AnalyzeOptions {
  /** A frame's time in seconds from the stream's beginning. By default the time since the first frame. */
  timeS?: number;
  /** Rectangles that the user drew, in pixels of the picture. With them nothing is detected. */
  boxes?: Box[];
  /** Whether the picture is the next frame of a stream: then faces have tracks and probabilities are smoothed. */
  stream?: boolean;
  /** Whether the record has the faces' landmarks. */
  landmarks?: boolean;
  /** The record's `source`. */
  source?: string | null;
}

/** The state of a stream. */
class Stream {
  readonly tracker = new Tracker();
  readonly smoother = new Smoother();
  readonly #began = performance.now();
  #frames = 0;
  #timeS = 0;

  /** The next frame's index from 0 and time in seconds. */
  next(timeS = (performance.now() - this.#began) / 1000): { frame: number; timeS: number } {
    if (!(Number.isFinite(timeS) && timeS >= this.#timeS)) {
      throw new Error(`expected a frame's time of ${this.#timeS} seconds or later, got ${timeS}`);
    }
    this.#timeS = timeS;
    this.#frames += 1;
    return { frame: this.#frames - 1, timeS };
  }
}

export class Analyzer {
  readonly #config: EngineConfig;
  readonly #classifier: Classifier;
  readonly #search: FaceSearch | null;
  #stream: Stream | null = null;

  constructor(config: EngineConfig, classifier: Classifier, search: FaceSearch | null) {
    this.#config = config;
    this.#classifier = classifier;
    this.#search = search;
  }

  /** Whether there is a face detector; without one the user marks the faces. */
  get canDetect(): boolean {
    return this.#search !== null;
  }

  /** Forget the stream: the next frame begins another one. */
  reset(): void {
    this.#stream = null;
  }

  /** The record of one picture, its faces in Python's order. */
  async analyze(image: Rgba, options: AnalyzeOptions): Promise<PictureRecord> {
    const stream = options.stream ? (this.#stream ??= new Stream()) : null;
    const now = stream?.next(options.timeS) ?? null;
    const detections = options.boxes
      ? options.boxes.map(drawnFace)
      : selected(await this.detect(image, options.stream), this.#config);
    const found =
      stream && now ? stream.tracker.update(detections, now.timeS) : detections.map((face) => ({ track: null, face }));
    const tracked = ordered<(typeof found)[number]>(found, ({ face }) => face.box, this.#config.order);
    const rows = await this.#classify(image, tracked.map(({ face }) => face));
    const faces = tracked.map(({ track, face }, index): Prediction => {
      const row = rows[index]!;
      const probabilities = stream && now && track !== null ? stream.smoother.smooth(track, row, now.timeS) : row;
      return { detection: face, probabilities, track };
    });
    const { width, height } = image;
    const { source = null } = options;
    const origin = { source, frame: now?.frame ?? null, timeS: now?.timeS ?? null, width, height };
    return toRecord(faces, origin, this.#config, options.landmarks);
  }

  /** Probabilities (N, classes) of faces (N, 48, 48). */
  classify(faces: Uint8Array): Promise<Float32Array> {
    return this.#classifier.probabilities(faces);
  }

  /** All detections, of any size and score, by falling score. stream: whether the picture is a frame of a stream. */
  async detect(image: Rgba, stream = false): Promise<Detection[]> {
    if (this.#search === null) throw new Error("there is no face detector here: mark the face yourself");
    const { min_face, min_face_score, detect_side, detect_mode, stream_side } = this.#config;
    const side = detect_side ?? (stream ? stream_side : null);
    return this.#search.search(image, { minFace: min_face, minScore: min_face_score, side, mode: detect_mode, stream });
  }

  async #classify(image: Rgba, faces: readonly Detection[]): Promise<Float32Array[]> {
    if (faces.length === 0) return [];
    const grey = toGrey(image);
    const crops = new Uint8Array(faces.length * FACE_SIZE ** 2);
    faces.forEach((face, index) => {
      const box = face.score === null ? squareAround(face.box) : face.box;
      const rule = this.#config.crop_rules[face.score === null ? "none" : "yunet"];
      if (rule === undefined) throw new Error("the config names no crop rule for this detector");
      crops.set(cropFace(grey, box, rule, faceRoll(face.landmarks)), index * FACE_SIZE ** 2);
    });
    const rows = await this.#classifier.probabilities(crops);
    const classes = this.#config.classes.length;
    return faces.map((_, index) => rows.slice(index * classes, (index + 1) * classes));
  }
}

/** A rectangle that the user drew, as a detection. It has no score, so it is classified at any size. */
function drawnFace(box: Box): Detection {
  const values = [box.x, box.y, box.width, box.height];
  if (!(values.every(Number.isFinite) && box.width > 0 && box.height > 0)) {
    throw new Error(`expected a rectangle of some size, got ${values.join(", ")}`);
  }
  return { box, score: null, landmarks: null };
}

/** The square about a rectangle's centre that holds all of it. */
function squareAround({ x, y, width, height }: Box): Box {
  const side = Math.max(width, height);
  return { x: x + (width - side) / 2, y: y + (height - side) / 2, width: side, height: side };
}
