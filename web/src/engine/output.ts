// Makes the record of one picture, rounded as src/mien/records.py does it.

import type { Box, Face, Landmarks, PictureRecord } from "../record.ts";
import type { EngineConfig } from "./config.ts";
import { headPose, isExtreme } from "./headPose.ts";
import { clamp, type Detection, type Point, rint } from "./pixels.ts";
import { likeliest } from "./smoothing.ts";

const SCHEMA = 1;

/** The prediction for one face. The probabilities are in the order of the classes; track is null in a photo. */
export interface Prediction {
  readonly detection: Detection;
  readonly probabilities: Float32Array;
  readonly track: number | null;
}

/** Where a picture comes from: of a photo, frame and timeS are null. */
export interface Origin {
  readonly source: string | null;
  readonly frame: number | null;
  readonly timeS: number | null;
  readonly width: number;
  readonly height: number;
}

export function toRecord(
  faces: readonly Prediction[],
  origin: Origin,
  config: EngineConfig,
  landmarks = false,
): PictureRecord {
  const { source, frame, timeS, width, height } = origin;
  return {
    schema: SCHEMA,
    model: config.model,
    source,
    frame,
    time_s: timeS === null ? null : rounded(timeS, 6),
    width,
    height,
    faces: faces.map((face) => {
      const made = toFace(face, width, height, config);
      return landmarks ? { ...made, landmarks: toLandmarks(face.detection.landmarks) } : made;
    }),
    error: null,
  };
}

function toFace(prediction: Prediction, width: number, height: number, config: EngineConfig): Face {
  const { detection, probabilities, track } = prediction;
  const neutral = config.classes.indexOf("neutral");
  const highest = likeliest(probabilities);
  const best = probabilities[neutral] === probabilities[highest] ? neutral : highest;
  const confidence = probabilities[best]!;
  const pose = headPose(detection.landmarks);
  const below = config.uncertain_below;
  return {
    box: clipped(detection.box, width, height),
    score: detection.score === null ? null : rounded(detection.score, 4),
    emotion: config.classes[best]!,
    confidence: rounded(confidence, 6),
    uncertain: confidence < below || (below > 0 && pose !== null && isExtreme(pose)),
    probabilities: Object.fromEntries(
      config.classes.map((name, index) => [name, rounded(probabilities[index]!, 6)]),
    ),
    track,
    pose: pose && { yaw: rounded(pose.yaw, 1), pitch: rounded(pose.pitch, 1), roll: rounded(pose.roll, 1) },
  };
}

function toLandmarks(points: readonly Point[] | null): Landmarks | null {
  if (points === null || points.length !== 5) return null;
  const [right_eye, left_eye, nose, right_mouth, left_mouth] = points.map(({ x, y }) => {
    return { x: rounded(x, 1), y: rounded(y, 1) };
  }) as [Point, Point, Point, Point, Point];
  return { right_eye, left_eye, nose, right_mouth, left_mouth };
}

function clipped(box: Box, width: number, height: number): Box {
  const left = clamp(box.x, 0, width);
  const top = clamp(box.y, 0, height);
  const right = rounded(left + (clamp(box.x + box.width, 0, width) - left), 1);
  const bottom = rounded(top + (clamp(box.y + box.height, 0, height) - top), 1);
  const [x, y] = [rounded(left, 1), rounded(top, 1)];
  return { x, y, width: rounded(right - x, 1), height: rounded(bottom - y, 1) };
}

/** Python's round: to `digits` digits, by the number's exact value, halves to the even digit. */
export function rounded(value: number, digits: number): number {
  // Only multiples of 2^-(digits + 1) can lie halfway, and toFixed rounds those up.
  const halves = value * 2 ** (digits + 1);
  if (Number.isInteger(halves) && halves % 2 !== 0) return rint(value * 10 ** digits) / 10 ** digits;
  return Number(value.toFixed(digits));
}
