import type { PictureRecord } from "./record.ts";

/** The record of a smaller copy of a picture, scaled to the picture's own pixels. */
export function scaledRecord(read: PictureRecord, size: { width: number; height: number }): PictureRecord {
  if (read.width === null || read.width === size.width) return read;
  const scale = size.width / read.width;
  const faces = read.faces.map((face) => {
    const { x, y, width, height } = face.box;
    return { ...face, box: { x: x * scale, y: y * scale, width: width * scale, height: height * scale } };
  });
  return { ...read, ...size, faces };
}
