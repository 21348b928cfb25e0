// A photo to try. sample.json is its record: `mien predict sample.jpg --json ../../src/sample.json` in public/assets.

import type { PictureRecord } from "./record.ts";
import { config } from "./state.ts";
import written from "./sample.json?raw";

export const SAMPLE = "assets/sample.jpg";
const record = JSON.parse(written) as PictureRecord;

/** The sample's record; null where the service has a model of other classes, which would read something else. */
export function example(): PictureRecord | null {
  const known = Object.keys(record.faces[0]?.probabilities ?? {});
  return known.join() === config.value?.classes.join() ? record : null;
}
