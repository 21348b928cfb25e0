// The rows of the live timeline: one for each face of the last minute. A row follows its track. It also continues when
// a new track begins where the face was last seen, as after a reconnection.

import type { Box, Face, PictureRecord } from "./record.ts";

/** How far back the timeline reaches, in seconds. */
export const SPAN_S = 60;
/** A face that reappears in its last position within this time, in seconds, is taken for the same face. */
const REAPPEARS_WITHIN_S = 15;
/** The least time between two samples, in seconds. */
const STEP_S = 0.1;

export interface Sample {
  /** Seconds on the page's clock. */
  time: number;
  probabilities: Record<string, number>;
}

export interface TimelineRow {
  number: number;
  face: Face;
  seen: number;
  samples: Sample[];
}

export class TimelineRows {
  readonly #byTrack = new Map<string, TimelineRow>();
  #rows: TimelineRow[] = [];
  #next = 1;

  /** The rows of a record's faces, in the record's order. A track's number means nothing in another stream. */
  update(record: PictureRecord, stream: number, now: number): TimelineRow[] {
    this.#rows = this.#rows.filter((row) => now - row.seen < SPAN_S);
    for (const [key, row] of this.#byTrack) if (!this.#rows.includes(row)) this.#byTrack.delete(key);
    const keys = record.faces.map((face, index) => `${stream}/${face.track ?? `at ${index}`}`);
    const taken = new Set(keys.map((key) => this.#byTrack.get(key)));
    return record.faces.map((face, index) => {
      const key = keys[index]!;
      const row = this.#byTrack.get(key) ?? this.#lastSeenAt(face.box, now, taken) ?? this.#begin(face, now);
      this.#byTrack.set(key, row);
      taken.add(row);
      row.face = face;
      row.seen = now;
      if (now - (row.samples.at(-1)?.time ?? -Infinity) >= STEP_S) {
        row.samples.push({ time: now, probabilities: face.probabilities });
        while (now - row.samples[0]!.time > SPAN_S + 1) row.samples.shift();
      }
      return row;
    });
  }

  /** The rows of the last minute, in the order of their first faces. */
  recent(now: number): TimelineRow[] {
    return this.#rows.filter((row) => now - row.seen < SPAN_S);
  }

  /** Faces that the newest frame lacks and that were seen less than `within` seconds ago. */
  justLost(now: number, within: number): Face[] {
    const last = Math.max(...this.#rows.map((row) => row.seen));
    return this.#rows.filter((row) => row.seen < last && now - row.seen < within).map((row) => row.face);
  }

  #lastSeenAt(box: Box, now: number, taken: ReadonlySet<TimelineRow | undefined>): TimelineRow | null {
    const candidates = this.#rows
      .filter((row) => now - row.seen < REAPPEARS_WITHIN_S && !taken.has(row))
      .map((row) => ({ row, overlap: iou(row.face.box, box) }))
      .filter(({ overlap }) => overlap > 0.3);
    return candidates.sort((one, other) => other.overlap - one.overlap)[0]?.row ?? null;
  }

  #begin(face: Face, now: number): TimelineRow {
    const row = { number: this.#next++, face, seen: now, samples: [] };
    this.#rows.push(row);
    return row;
  }
}

/** Intersection over union. */
function iou(one: Box, other: Box): number {
  const across = Math.min(one.x + one.width, other.x + other.width) - Math.max(one.x, other.x);
  const down = Math.min(one.y + one.height, other.y + other.height) - Math.max(one.y, other.y);
  const shared = Math.max(0, across) * Math.max(0, down);
  return shared / (one.width * one.height + other.width * other.height - shared || 1);
}
