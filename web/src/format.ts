// Texts that the page shows and speaks: percentages, labels, summaries.

import type { Face, PictureRecord } from "./record.ts";

/** "98 %", as src/mien/drawing/labels.py writes it. */
export function percent(value: number): string {
  return `${Math.round(100 * value)} %`;
}

/** "fear? 41 %": an uncertain prediction has a question mark. */
export function label(face: Face): string {
  return `${face.emotion}${face.uncertain ? "?" : ""} ${percent(face.confidence)}`;
}

/** One sentence for screen readers. With calm, it leaves out the percentages, which change from frame to frame. */
export function summary(record: PictureRecord | null, calm = false): string {
  if (record === null) return "";
  if (record.faces.length === 0) return "No face found.";
  const faces = record.faces.slice(0, 6).map((face) => {
    const mark = face.uncertain ? ", uncertain" : "";
    return calm ? `${face.emotion}${mark}` : `${face.emotion} ${percent(face.confidence)}${mark}`;
  });
  const more = record.faces.length > faces.length ? `; and ${record.faces.length - faces.length} more` : "";
  return `${count(record.faces.length, "face")}: ${faces.join("; ")}${more}.`;
}

export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** "20 MB". */
export function megabytes(bytes: number): string {
  return `${Number((bytes / 1e6).toPrecision(2))} MB`;
}

/** Whether a host name means this computer. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname.endsWith(".localhost") || hostname === "[::1]" || /^127\./.test(hostname);
}
