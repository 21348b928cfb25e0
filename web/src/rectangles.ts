// The rectangles that the user draws round faces, and how keys move them.

import { readRectangles } from "./photos.ts";
import type { Box } from "./record.ts";
import { rectangles, view } from "./state.ts";

const MAX_RECTANGLES = 8;

export function changeRectangles(next: readonly Box[]): void {
  const newest = next.slice(-MAX_RECTANGLES);
  if (view.value === "photos") readRectangles(newest);
  else rectangles.value = newest;
}

/** The rectangles after a key, which changes the last one; null if the key does nothing. */
export function moved(
  boxes: readonly Box[],
  key: string,
  shift: boolean,
  picture: { width: number; height: number },
  mirror: boolean,
): readonly Box[] | null {
  if (key === "Enter") {
    const side = 0.4 * Math.min(picture.width, picture.height);
    return [...boxes, { x: (picture.width - side) / 2, y: (picture.height - side) / 2, width: side, height: side }];
  }
  const last = boxes.at(-1);
  if (last === undefined) return null;
  if (key === "Delete" || key === "Backspace") return boxes.slice(0, -1);
  const step = 0.02 * Math.max(picture.width, picture.height);
  const across = (key === "ArrowRight" ? step : key === "ArrowLeft" ? -step : 0) * (mirror && !shift ? -1 : 1);
  const down = key === "ArrowDown" ? step : key === "ArrowUp" ? -step : 0;
  if (across === 0 && down === 0) return null;
  const width = Math.min(Math.max(last.width + (shift ? across : 0), 16), picture.width);
  const height = Math.min(Math.max(last.height + (shift ? down : 0), 16), picture.height);
  // A new size keeps its centre.
  const x = last.x + (shift ? (last.width - width) / 2 : across);
  const y = last.y + (shift ? (last.height - height) / 2 : down);
  const inside = {
    x: Math.min(Math.max(x, 0), picture.width - width),
    y: Math.min(Math.max(y, 0), picture.height - height),
    width,
    height,
  };
  return [...boxes.slice(0, -1), inside];
}
