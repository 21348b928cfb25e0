// Who was seen in the last minute: one lane a face, which goes on where its track does, or a new one in its place.

import type { Box, Face, PictureRecord } from "./record.ts";

/** How far back the timeline reaches, in seconds. */
export const SPAN_S = 60;
/** A face that comes back to its place within so many seconds is taken for the same. */
const BACK_WITHIN_S = 15;
const STEP_S = 0.1;

export interface Sample {
  /** Seconds on the page's clock. */
  time: number;
  probabilities: Record<string, number>;
}

export interface Lane {
  number: number;
  face: Face;
  seen: number;
  samples: Sample[];
}

export class Lanes {
  readonly #byTrack = new Map<string, Lane>();
  #lanes: Lane[] = [];
  #next = 1;

  /** The lanes of a record's faces, in their order. Tracks of another stream are other tracks. */
  update(record: PictureRecord, stream: number, now: number): Lane[] {
    this.#lanes = this.#lanes.filter((lane) => now - lane.seen < SPAN_S);
    for (const [key, lane] of this.#byTrack) if (!this.#lanes.includes(lane)) this.#byTrack.delete(key);
    const keys = record.faces.map((face, index) => `${stream}/${face.track ?? `at ${index}`}`);
    const taken = new Set(keys.map((key) => this.#byTrack.get(key)));
    return record.faces.map((face, index) => {
      const key = keys[index]!;
      const lane = this.#byTrack.get(key) ?? this.#goneFrom(face.box, now, taken) ?? this.#begin(face, now);
      this.#byTrack.set(key, lane);
      taken.add(lane);
      lane.face = face;
      lane.seen = now;
      if (now - (lane.samples.at(-1)?.time ?? -Infinity) >= STEP_S) {
        lane.samples.push({ time: now, probabilities: face.probabilities });
        while (now - lane.samples[0]!.time > SPAN_S + 1) lane.samples.shift();
      }
      return lane;
    });
  }

  /** Those of the last minute, in the order they came. */
  recent(now: number): Lane[] {
    return this.#lanes.filter((lane) => now - lane.seen < SPAN_S);
  }

  /** Faces that were there a moment ago and were not found now. */
  justLost(now: number, within: number): Face[] {
    const last = Math.max(...this.#lanes.map((lane) => lane.seen));
    return this.#lanes.filter((lane) => lane.seen < last && now - lane.seen < within).map((lane) => lane.face);
  }

  #goneFrom(box: Box, now: number, taken: ReadonlySet<Lane | undefined>): Lane | null {
    const gone = this.#lanes
      .filter((lane) => now - lane.seen < BACK_WITHIN_S && !taken.has(lane))
      .map((lane) => ({ lane, overlap: shared(lane.face.box, box) }))
      .filter(({ overlap }) => overlap > 0.3);
    return gone.sort((one, other) => other.overlap - one.overlap)[0]?.lane ?? null;
  }

  #begin(face: Face, now: number): Lane {
    const lane = { number: this.#next++, face, seen: now, samples: [] };
    this.#lanes.push(lane);
    return lane;
  }
}

/** Intersection over union. */
function shared(one: Box, other: Box): number {
  const across = Math.min(one.x + one.width, other.x + other.width) - Math.max(one.x, other.x);
  const down = Math.min(one.y + one.height, other.y + other.height) - Math.max(one.y, other.y);
  const both = Math.max(0, across) * Math.max(0, down);
  return both / (one.width * one.height + other.width * other.height - both || 1);
}
