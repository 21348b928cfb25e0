// The wire format of Mien's service, as src/mien/records.py and src/mien/service/pages.py write it.

/** In pixels of the picture, from its left top corner. */
export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Face {
  box: Box;
  /** The detector's, 0..1; null where it has none. */
  score: number | null;
  emotion: string;
  /** The probability of `emotion`, 0..1. */
  confidence: number;
  uncertain: boolean;
  /** By class, each 0..1, of sum 1. */
  probabilities: Record<string, number>;
  /** The same number for the same face in all frames of a stream; null in a photo. */
  track: number | null;
}

/** What was found in one picture. */
export interface PictureRecord {
  schema: number;
  model: string;
  source: string | null;
  frame: number | null;
  time_s: number | null;
  width: number | null;
  height: number | null;
  faces: Face[];
  /** Why the picture could not be read; there are no faces then. */
  error: string | null;
}

/** Where FER2013's frame lies relative to a detector's box (src/mien/runtime/crops.py, CropRule). */
export interface CropRule {
  side: number;
  x: number;
  y: number;
}

/** What the page must know of the service: GET page.json. */
export interface PageConfig {
  version: string;
  /** Id of the model. */
  model: string;
  classes: string[];
  /** #rrggbb by class; a class of the user's own may have none. */
  colours: Record<string, string>;
  uncertain_below: number;
  min_face: number;
  min_face_score: number;
  /** Name of the service's detector. */
  detector: string;
  key_required: boolean;
  /** Media types of pictures that the service decodes. */
  formats: string[];
  /** In bytes, of one request's body. */
  max_body: number;
  /** In bytes, of one frame of a stream. */
  max_frame: number;
  /** Width times height of one picture. */
  max_pixels: number;
  /** The crop rules by the detector's name. */
  crop_rules: Record<string, CropRule>;
  /** Addresses, relative to the page, of the ONNX files that run in the browser; detector is null without YuNet. */
  engine: { model: string; detector: string | null };
}
