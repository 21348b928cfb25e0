// What `load` and `analyze` are given, in the engine's words.

import type { EngineFiles, PageConfig } from "../../src/config.ts";
import type { AnalyzeOptions as EngineOptions } from "../../src/engine/analyzer.ts";
import type { EngineConfig } from "../../src/engine/config.ts";
import { overWhite, type Rgba } from "../../src/engine/pixels.ts";
import type { AnalyzeOptions, LoadOptions, Pixels } from "./api.ts";

/** Python's settings and the names of the package's networks; scripts/npm_package.py puts them here. */
declare const MIEN_CONFIG: PageConfig;

export const shipped = MIEN_CONFIG;

const LEAST_SIDE = 64;

/** A site's settings, or those of the package, with what the options change. Throws RangeError. */
export function configured(page: PageConfig, options: LoadOptions): EngineConfig {
  const { colors: _, engine: __, service: ___, ...base } = page;
  const { minFace = base.min_face, minFaceScore = base.min_face_score, uncertainBelow = base.uncertain_below } = options;
  const { maxFaces = base.max_faces, detectSide = base.detect_side } = options;
  const { order = base.order, detectMode = base.detect_mode } = options;
  check(minFace >= 0 && minFace < Infinity, "minFace", "0 pixels or more", minFace);
  check(minFaceScore >= 0 && minFaceScore <= 1, "minFaceScore", "0 to 1", minFaceScore);
  check(uncertainBelow >= 0 && uncertainBelow <= 1, "uncertainBelow", "0 to 1", uncertainBelow);
  check(maxFaces === null || (Number.isInteger(maxFaces) && maxFaces >= 1), "maxFaces", "1 or more, or null", maxFaces);
  const isSide = detectSide === null || (Number.isInteger(detectSide) && detectSide >= LEAST_SIDE);
  check(isSide, "detectSide", `${LEAST_SIDE} pixels or more, or null`, detectSide);
  check(["left", "size"].includes(order), "order", "left or size", order);
  check(["fast", "thorough"].includes(detectMode), "detectMode", "fast or thorough", detectMode);
  return {
    ...base,
    min_face: minFace,
    min_face_score: minFaceScore,
    uncertain_below: uncertainBelow,
    max_faces: maxFaces,
    detect_side: detectSide,
    detect_mode: detectMode,
    order,
  };
}

function check(isRight: boolean, name: string, expected: string, got: unknown): void {
  if (!isRight) throw new RangeError(`${name} must be ${expected}, got ${String(got)}`);
}

/** What page.json of a site says. Throws where it is something else. */
export function siteConfig(text: string, name: string): PageConfig & { engine: EngineFiles } {
  let config: unknown = null;
  try {
    config = JSON.parse(text);
  } catch {
    // Reported below.
  }
  if (typeof config === "object" && config !== null && "engine" in config && "crop_rules" in config) {
    return config as PageConfig;
  }
  throw new Error(`${name} is not what \`mien page\` writes`);
}

export function analyzeOptions({ boxes, stream, timeS, source }: AnalyzeOptions): EngineOptions {
  return {
    landmarks: true,
    ...(boxes === undefined ? {} : { boxes: [...boxes] }),
    ...(stream === undefined ? {} : { stream }),
    ...(timeS === undefined ? {} : { timeS }),
    ...(source === undefined ? {} : { source }),
  };
}

export function isPixels(image: unknown): image is Pixels {
  if (typeof image !== "object" || image === null) return false;
  const { data } = image as Partial<Pixels>;
  return data instanceof Uint8Array || data instanceof Uint8ClampedArray;
}

/** The pixels, opaque. Throws RangeError. */
export function opaque({ data, width, height }: Pixels): Rgba {
  const isSize = [width, height].every((side) => Number.isInteger(side) && side > 0);
  if (!isSize) throw new RangeError(`expected a picture of some size, got ${String(width)}x${String(height)}`);
  if (data.length !== width * height * 4) {
    const [expected, got] = [width * height * 4, data.length];
    throw new RangeError(`expected width * height * 4 bytes (RGBA) of a picture, ${expected}, got ${got}`);
  }
  return overWhite({ data, width, height });
}
