import type { PictureRecord } from "./record.ts";

/** A record of a smaller copy, in pixels of the picture itself. */
export function resized(read: PictureRecord, size: { width: number; height: number }): PictureRecord {
  if (read.width === null || read.width === size.width) return read;
  const scale = size.width / read.width;
  const faces = read.faces.map((face) => {
    const { x, y, width, height } = face.box;
    return { ...face, box: { x: x * scale, y: y * scale, width: width * scale, height: height * scale } };
  });
  return { ...read, ...size, faces };
}
