import type { Box, PictureRecord } from "./record.ts";

/** The record of a smaller copy of a picture, scaled to the picture's own pixels. */
export function scaledRecord(read: PictureRecord, size: { width: number; height: number }): PictureRecord {
  if (read.width === null || read.height === null) return read;
  if (read.width === size.width && read.height === size.height) return read;
  // Sides are whole pixels, so the two factors differ a little.
  const across = size.width / read.width;
  const down = size.height / read.height;
  const faces = read.faces.map((face) => ({ ...face, box: scaledBox(face.box, across, down) }));
  return { ...read, ...size, faces };
}

/** Rounded to 0.1 as every record's boxes. */
function scaledBox(box: Box, across: number, down: number): Box {
  const [x, y] = [tenth(box.x * across), tenth(box.y * down)];
  const right = tenth((box.x + box.width) * across);
  const bottom = tenth((box.y + box.height) * down);
  return { x, y, width: tenth(right - x), height: tenth(bottom - y) };
}

function tenth(value: number): number {
  return Math.round(10 * value) / 10;
}
