// Where a picture and what is found in it lie on a canvas.

import type { EmojiSheet } from "./emoji.ts";
import type { Box, Face } from "./record.ts";

/** A face and the number it goes by, where there are several. */
export interface Marked {
  face: Face;
  number: number | null;
}

/** Where a picture lies on a canvas: its pixels times scale, from left and top on, mirrored or not. */
export interface Placement {
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
}

/** The picture fitted into a canvas of this size, in its middle. width and height are the record's. */
export function fitted(
  width: number,
  height: number,
  canvas: { width: number; height: number },
  mirror: boolean,
): Placement {
  const scale = Math.min(canvas.width / width, canvas.height / height);
  const drawn = { width: width * scale, height: height * scale };
  return { left: (canvas.width - drawn.width) / 2, top: (canvas.height - drawn.height) / 2, ...drawn, scale, mirror };
}

/** A box of the record in pixels of the canvas. */
export function placed(box: Box, place: Placement): Box {
  const width = box.width * place.scale;
  const left = box.x * place.scale;
  return {
    x: place.left + (place.mirror ? place.width - left - width : left),
    y: place.top + box.y * place.scale,
    width,
    height: box.height * place.scale,
  };
}

/** The size of a face's text, which follows the face within what suits the picture. */
export function textOf(width: number, place: Placement, pens: Pens): number {
  const short = Math.min(place.width, place.height);
  const text = Math.min(Math.max(0.15 * width, pens.text, 0.016 * short), Math.max(1.25 * pens.text, 0.036 * short));
  return Math.round(text); // in whole pixels, so that it does not change with every frame
}
