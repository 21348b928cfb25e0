// Which way a head is turned, as in src/mien/runtime/head_pose.py.

import type { Pose } from "../record.ts";
import { shownRoll } from "./headRoll.ts";
import type { Point } from "./pixels.ts";

/** From landmarks to the head's axes, in least squares: the pseudo-inverse of `_HEAD` in head_pose.py. */
const FIT: readonly (readonly number[])[] = [
  [-0.0097388, 0.0097388, 0, -0.0077292, 0.0077292],
  [-0.0066515, -0.0066818, -0.0022222, 0.0077898, 0.0077658],
  [-0.0068788, -0.0064546, 0.0311111, -0.0090572, -0.0087206],
];

/** Degrees beyond which a face counts as uncertain: MAX_YAW and MAX_PITCH in src/mien/types.py. */
const MAX_YAW = 50;
const MAX_PITCH = 20;

/** The pose in degrees, not rounded; null without landmarks, or where they lie on a line. */
export function headPose(landmarks: readonly Point[] | null): Pose | null {
  if (landmarks === null || landmarks.length !== 5) return null;
  const across = FIT.map((weights) => sum(weights, landmarks.map(({ x }) => x)));
  const down = FIT.map((weights) => sum(weights, landmarks.map(({ y }) => y)));
  const [aa, ab, bb] = [sum(across, across), sum(across, down), sum(down, down)];
  const area = Math.sqrt(Math.max(0, aa * bb - ab * ab));
  if (!(area >= 1e-6 * (aa + bb) && area > 0)) return null;
  // Rows of length 1 at right angles, closest to these: by the inverse square root of their 2x2 products.
  const scale = Math.sqrt(aa + bb + 2 * area) / ((aa + area) * (bb + area) - ab * ab);
  const x = across.map((value, axis) => scale * ((bb + area) * value - ab * down[axis]!));
  const y = across.map((value, axis) => scale * ((aa + area) * down[axis]! - ab * value));
  const z = [0, 1, 2].map((axis) => {
    const [one, other] = [(axis + 1) % 3, (axis + 2) % 3];
    return x[one]! * y[other]! - x[other]! * y[one]!;
  });
  const degrees = 180 / Math.PI;
  return {
    yaw: Math.asin(Math.min(1, Math.max(-1, -z[0]!))) * degrees,
    pitch: Math.atan2(z[1]!, z[2]!) * degrees,
    roll: shownRoll(landmarks),
  };
}

/** Whether a head is turned so far aside, up or down that the model is less often right. */
export function isExtreme({ yaw, pitch }: Pose): boolean {
  return Math.abs(yaw) > MAX_YAW || Math.abs(pitch) > MAX_PITCH;
}

function sum(weights: readonly number[], values: readonly number[]): number {
  return weights.reduce((total, weight, index) => total + weight * values[index]!, 0);
}
