// Where a picture and its faces lie on a canvas.

import type { EmojiSheet } from "./emoji.ts";
import type { Box, Face } from "./record.ts";

/** A face, and its number if there are several. */
export interface Marked {
  face: Face;
  number: number | null;
}

/** Where a picture lies on a canvas: its pixels times scale, from left and top on, mirrored or not. */
export interface Layout {
  left: number;
  top: number;
  /** Of the picture as it is drawn, in pixels of the canvas. */
  width: number;
  height: number;
  /** Pixels of the canvas for one of the record. */
  scale: number;
  mirror: boolean;
}

export interface Pens {
  emoji: EmojiSheet;
  colors: Record<string, string>;
  /** Height in pixels of the smallest text. */
  text: number;
  /** The service reports no more faces of a picture, the largest ones; null: it reports all. */
  mostFaces: number | null;
  /** The number of the face that stands out; null: none. */
  pointed?: number | null;
}

/** The layout of a picture in the middle of a canvas, as large as fits. width and height are the record's. */
export function layoutIn(
  width: number,
  height: number,
  canvas: { width: number; height: number },
  mirror: boolean,
): Layout {
  const scale = Math.min(canvas.width / width, canvas.height / height);
  const drawn = { width: width * scale, height: height * scale };
  return { left: (canvas.width - drawn.width) / 2, top: (canvas.height - drawn.height) / 2, ...drawn, scale, mirror };
}

/** The face whose box holds a point of the canvas; of several the smallest. */
export function markAt(marked: readonly Marked[], point: { x: number; y: number }, layout: Layout): Marked | null {
  const hit = marked.filter(({ face }) => {
    const { x, y, width, height } = placed(face.box, layout);
    return point.x >= x && point.x <= x + width && point.y >= y && point.y <= y + height;
  });
  const area = ({ face }: Marked) => face.box.width * face.box.height;
  return hit.sort((one, other) => area(one) - area(other))[0] ?? null;
}

/** A box of the record in pixels of the canvas. */
export function placed(box: Box, layout: Layout): Box {
  const width = box.width * layout.scale;
  const left = box.x * layout.scale;
  return {
    x: layout.left + (layout.mirror ? layout.width - left - width : left),
    y: layout.top + box.y * layout.scale,
    width,
    height: box.height * layout.scale,
  };
}

/** The size of a face's text in pixels: it grows with the face, within limits set by the picture. */
export function textOf(width: number, layout: Layout, pens: Pens): number {
  const short = Math.min(layout.width, layout.height);
  const text = Math.min(Math.max(0.15 * width, pens.text, 0.016 * short), Math.max(1.25 * pens.text, 0.036 * short));
  return Math.round(text); // in whole pixels, so that it does not change with every frame
}
