import { type Detection, overlap } from "./pixels.ts";

/** The least overlap (intersection over union) of a face's boxes in two frames. */
const LEAST_OVERLAP = 0.2;
/** The time in seconds for which a face that is not detected keeps its id. */
const MAX_GAP_S = 2;
/** A new detection below this score is reported only once the next frame confirms it. */
const CONFIDENT_SCORE = 0.86;

export interface Tracked {
  readonly track: number;
  readonly face: Detection;
}

interface Known {
  track: number;
  face: Detection;
  seenS: number;
}

/**
 * Tracks the faces of a stream by the overlap of their boxes alone. Every frame is detected, so there is no optical
 * flow between detections, and no appearance: faces that cross may swap their ids. Python's tracker has both.
 */
export class Tracker {
  #known: Known[] = [];
  #count = 0;

  /** The detections to report of the frame at timeS seconds, from left to right, each with its id. */
  update(detections: readonly Detection[], timeS: number): Tracked[] {
    const known = this.#known.filter((one) => timeS - one.seenS <= MAX_GAP_S);
    const pairs = known
      .flatMap((one) => detections.map((face) => ({ one, face, shared: overlap(one.face.box, face.box) })))
      .filter(({ shared }) => shared >= LEAST_OVERLAP)
      .sort((a, b) => b.shared - a.shared);
    const owners = new Map<Detection, Known>();
    const taken = new Set<Known>();
    for (const { one, face } of pairs) {
      if (taken.has(one) || owners.has(face)) continue;
      taken.add(one);
      owners.set(face, one);
    }

    const reported: Tracked[] = [];
    for (const face of detections.toSorted((a, b) => a.box.x - b.box.x || a.box.y - b.box.y)) {
      const owner = owners.get(face);
      const one = owner ?? { track: 0, face, seenS: timeS };
      one.face = face;
      one.seenS = timeS;
      if (owner === undefined) known.push(one);
      const isConfident = face.score === null || face.score >= CONFIDENT_SCORE;
      if (one.track === 0 && (owner !== undefined || isConfident)) one.track = this.#count += 1;
      if (one.track > 0) reported.push({ track: one.track, face });
    }
    // A detection that is neither confident nor confirmed is forgotten.
    this.#known = known.filter((one) => one.track > 0 || one.seenS === timeS);
    return reported;
  }
}
