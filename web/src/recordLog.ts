// The camera's records of the last minute, as one stream, whatever streams they came from.

import type { PictureRecord } from "./record.ts";
import { SPAN_S } from "./timelineRows.ts";

/** A bound for cameras and computers that are very fast. */
const MAX_RECORDS = 60 * SPAN_S;

export class RecordLog {
  #records: PictureRecord[] = [];
  #frames = 0;
  #began: number | null = null;

  /** Adds a record that was taken at `now` in seconds; numbers: those of its faces in the timeline. */
  add(record: PictureRecord, numbers: readonly number[], now: number): void {
    this.#began ??= now;
    const timeS = Math.round(1e6 * (now - this.#began)) / 1e6;
    const faces = record.faces.map((face, index) => ({ ...face, track: numbers[index] ?? null }));
    this.#records.push({ ...record, source: "camera", frame: this.#frames++, time_s: timeS, faces });
    const first = this.#records.findIndex(({ time_s }) => timeS - time_s! <= SPAN_S);
    this.#records.splice(0, Math.max(first, this.#records.length - MAX_RECORDS));
  }

  get records(): readonly PictureRecord[] {
    return this.#records;
  }
}
