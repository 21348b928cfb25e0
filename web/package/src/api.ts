import type { Box, PictureRecord } from "../../src/record.ts";

export type { Box, Face, Landmarks, PictureRecord, Point, Pose } from "../../src/record.ts";

/** (height, width, 4) bytes: red, green, blue, alpha. ImageData is one; transparent parts are laid over white. */
export interface Pixels {
  readonly data: Uint8ClampedArray | Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** A class that browsers have; never where the compiler does not know it, as for Node.js. */
type Dom<Name extends string> = typeof globalThis extends Record<Name, { prototype: infer Type }> ? Type : never;

/** A picture. Node.js takes pixels only. */
export type ImageSource =
  | Pixels
  | Dom<"Blob">
  | Dom<"HTMLCanvasElement">
  | Dom<"HTMLImageElement">
  | Dom<"HTMLVideoElement">
  | Dom<"ImageBitmap">
  | Dom<"OffscreenCanvas">
  | Dom<"VideoFrame">;

/** The defaults are those of Python's `mien.load`, or those of `site`. */
export interface LoadOptions {
  /**
   * A folder that `mien page` wrote: its model, classes and settings in place of those of the package. In browsers an
   * address relative to the page, in Node.js a path or a file URL.
   */
  readonly site?: string | Dom<"URL"> | undefined;
  /** Faces whose shorter side has fewer pixels are left out. */
  readonly minFace?: number | undefined;
  /** 0 to 1: faces that are detected with a lower score are left out. */
  readonly minFaceScore?: number | undefined;
  /** Report at most the N largest faces; null: all. */
  readonly maxFaces?: number | null | undefined;
  /** From left to right, or the largest first. */
  readonly order?: "left" | "size" | undefined;
  /** thorough: nearly all faces of 20 pixels and more, in two to three times the time. */
  readonly detectMode?: "fast" | "thorough" | undefined;
  /** Detect faces in a copy whose longer side has at most N pixels; null: every pixel of a photo. */
  readonly detectSide?: number | null | undefined;
  /** 0 to 1: faces whose likeliest emotion has a lower probability are marked `uncertain`; 0 marks none. */
  readonly uncertainBelow?: number | undefined;
  /** Called with the fraction of all files that is loaded, 0 to 1. */
  readonly onProgress?: ((fraction: number) => void) | undefined;
}

export interface AnalyzeOptions {
  /** Rectangles in pixels of the picture: each is taken as a face, and nothing is detected. */
  readonly boxes?: readonly Box[] | undefined;
  /** Whether the picture is the next frame of a stream: then faces have tracks, and probabilities are smoothed. */
  readonly stream?: boolean | undefined;
  /** A frame's time in seconds from the stream's beginning, which never falls. By default the time that has passed. */
  readonly timeS?: number | undefined;
  /** The record's `source`. */
  readonly source?: string | null | undefined;
}

/** Reads the emotions off the faces in pictures. It does one picture after the other. */
export interface Analyzer {
  /** Id of the model. */
  readonly model: string;
  /** The classes, in the model's order. */
  readonly classes: readonly string[];
  /**
   * The record of one picture, as Python writes it (`analysis.to_dict(landmarks=True)`). Rejects with an Error of one
   * line where the picture cannot be read.
   */
  analyze(image: ImageSource, options?: AnalyzeOptions): Promise<PictureRecord>;
  /** Forget the stream: the next frame begins another one. */
  reset(): void;
  /** Stop, and free the memory. Pictures that wait are rejected. */
  close(): void;
}

/** Loads the model and the face detector. Nothing is fetched later. Rejects with an Error of one line. */
export declare function load(options?: LoadOptions): Promise<Analyzer>;
