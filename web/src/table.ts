// Records as files, as `mien predict --json` and `--csv` write them (src/mien/records.py).

import type { Face, PictureRecord } from "./record.ts";

type Cell = string | number | boolean | null;

/** One record a line. */
export function toJsonLines(records: readonly PictureRecord[]): string {
  return records.map((record) => `${JSON.stringify(record)}\n`).join("");
}

/** One row a face, below the names of the columns. */
export function toCsv(records: readonly PictureRecord[], classes: readonly string[]): string {
  const rows = records.flatMap((record) => record.faces.map((face, index) => row(record, face, index + 1, classes)));
  return [[...COLUMNS, ...classes.map((name) => `p_${name}`)], ...rows]
    .map((cells) => `${cells.map(written).join(",")}\n`)
    .join("");
}

const COLUMNS = [
  ...["source", "frame", "time_s", "face", "track", "x", "y", "width", "height", "score", "emotion", "confidence"],
  ...["uncertain", "yaw", "pitch", "roll"],
] as const;

function row(record: PictureRecord, face: Face, number: number, classes: readonly string[]): Cell[] {
  const cells: Record<(typeof COLUMNS)[number], Cell> = {
    source: record.source,
    frame: record.frame,
    time_s: record.time_s,
    face: number,
    track: face.track,
    ...face.box,
    score: face.score,
    emotion: face.emotion,
    confidence: face.confidence,
    uncertain: face.uncertain,
    yaw: face.pose?.yaw ?? null,
    pitch: face.pose?.pitch ?? null,
    roll: face.pose?.roll ?? null,
  };
  return [...COLUMNS.map((name) => cells[name]), ...classes.map((name) => face.probabilities[name] ?? null)];
}

/** As Python's csv module writes it: quoted only where it must be. */
function written(cell: Cell): string {
  if (cell === null) return "";
  if (typeof cell === "boolean") return cell ? "True" : "False";
  const text = String(cell);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
