import { type Detection, overlap } from "./pixels.ts";

/** A face whose box shares less with the last one is another face. */
const LEAST_OVERLAP = 0.2;
/** A face that is not found keeps its id for so many seconds. */
const REMEMBERED_S = 2;
/** A find below this score is reported only once the next frame confirms it. */
const SURE_SCORE = 0.8;

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
 * Keeps the faces of a stream apart by the overlap of their boxes from frame to frame. Python's tracker, which follows
 * faces between detections, knows more; here every frame is detected.
 */
export class Tracks {
  #known: Known[] = [];
  #count = 0;

  /** The faces to report of those found in the frame at a time in seconds, from left to right, each with its id. */
  update(found: readonly Detection[], timeS: number): Tracked[] {
    const known = this.#known.filter((one) => timeS - one.seenS <= REMEMBERED_S);
    const pairs = known
      .flatMap((one) => found.map((face) => ({ one, face, shared: overlap(one.face.box, face.box) })))
      .filter(({ shared }) => shared >= LEAST_OVERLAP)
      .sort((a, b) => b.shared - a.shared);
    const owners = new Map<Detection, Known>();
    const taken = new Set<Known>();
    for (const { one, face } of pairs) {
      if (taken.has(one) || owners.has(face)) continue;
      taken.add(one);
      owners.set(face, one);
    }

    const shown: Tracked[] = [];
    for (const face of found.toSorted((a, b) => a.box.x - b.box.x || a.box.y - b.box.y)) {
      const owner = owners.get(face);
      const one = owner ?? { track: 0, face, seenS: timeS };
      one.face = face;
      one.seenS = timeS;
      if (owner === undefined) known.push(one);
      const isSure = face.score === null || face.score >= SURE_SCORE;
      if (one.track === 0 && (owner !== undefined || isSure)) one.track = this.#count += 1;
      if (one.track > 0) shown.push({ track: one.track, face });
    }
    // A find that was neither sure nor confirmed was none.
    this.#known = known.filter((one) => one.track > 0 || one.seenS === timeS);
    return shown;
  }
}
