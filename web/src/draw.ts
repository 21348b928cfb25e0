// Draws the faces' marks over the picture: boxes with labels, or what hides the faces.

import { classColor, css, inkOn } from "./colors.ts";
import { drawCovers, type Covering } from "./covers.ts";
import { drawLabels, FONT } from "./labels.ts";
import { placed, textOf, type Layout, type Marked, type Pens } from "./layout.ts";
import type { Box, Face } from "./record.ts";

/** The opacity of boxes beside the one that the user points at. */
const FAINT = 0.4;

export type Theme = "boxes" | Covering;

/** Why covers may leave a face bare: then these words stand over the picture, which is blurred. null: they do not. */
export function shortcoming(faces: number, mostFaces: number | null): string | null {
  if (faces === 0) return "No face found";
  return mostFaces !== null && faces >= mostFaces ? "There may be more faces" : null;
}

type Context = CanvasRenderingContext2D;

export function drawPicture(context: Context, picture: CanvasImageSource, layout: Layout): void {
  context.save();
  if (layout.mirror) {
    context.translate(2 * layout.left + layout.width, 0);
    context.scale(-1, 1);
  }
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, layout.left, layout.top, layout.width, layout.height);
  context.restore();
}

/**
 * The picture with its marks; marked is null where it was not read yet. Where faces are to be covered, a picture in which
 * not all may be is blurred.
 */
export function drawMarked(
  context: Context,
  picture: CanvasImageSource,
  marked: readonly Marked[] | null,
  layout: Layout,
  theme: Theme,
  pens: Pens,
): void {
  const words = marked === null ? null : shortcoming(marked.length, pens.mostFaces);
  if (theme !== "boxes" && (marked === null || words !== null)) {
    drawBlurred(context, picture, layout);
    if (words !== null) drawWords(context, words, layout, pens.text);
    return;
  }
  drawPicture(context, picture, layout);
  drawMarks(context, marked ?? [], layout, theme, pens);
}

/** The picture as a few blurred spots, in which no face is visible. */
export function drawBlurred(context: Context, picture: CanvasImageSource, layout: Layout): void {
  drawPicture(context, blurred(picture), layout);
}

/** Words in the middle of the picture, of `least` pixels or more if they fit. */
function drawWords(context: Context, words: string, { left, top, width, height }: Layout, least: number): void {
  const wanted = Math.max(least, 0.06 * Math.min(width, height));
  context.save();
  context.font = `600 ${wanted}px ${FONT}`;
  const text = wanted * Math.min(1, (0.8 * width) / context.measureText(words).width);
  context.font = `600 ${text}px ${FONT}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  const [x, y] = [left + width / 2, top + height / 2];
  const across = context.measureText(words).width + 1.2 * text;
  context.fillStyle = "rgb(0 0 0 / .7)";
  context.beginPath();
  context.roundRect(x - across / 2, y - text, across, 2 * text, 0.5 * text);
  context.fill();
  context.fillStyle = "#fff";
  context.fillText(words, x, y);
  context.restore();
}

/** The picture's colors, faint and blurred, on the whole canvas, to fill the space around the picture. */
export function drawBackground(
  context: Context,
  picture: CanvasImageSource,
  canvas: { width: number; height: number },
): void {
  context.save();
  context.globalAlpha = 0.4;
  context.imageSmoothingQuality = "high";
  context.drawImage(blurred(picture), 0, 0, canvas.width, canvas.height);
  context.restore();
}

const tiny = document.createElement("canvas");
tiny.width = tiny.height = 6;

function blurred(picture: CanvasImageSource): HTMLCanvasElement {
  const small = tiny.getContext("2d");
  if (small === null) return tiny;
  small.clearRect(0, 0, tiny.width, tiny.height);
  small.imageSmoothingQuality = "high";
  small.drawImage(picture, 0, 0, tiny.width, tiny.height);
  return tiny;
}

export function drawMarks(context: Context, marked: readonly Marked[], layout: Layout, theme: Theme, pens: Pens): void {
  context.save();
  context.beginPath();
  context.rect(layout.left, layout.top, layout.width, layout.height);
  context.clip();
  const bySize = [...marked].sort((one, other) => area(other.face.box) - area(one.face.box));
  const pointed = bySize.filter(({ number }) => number !== null && number === pens.pointed);
  const others = bySize.filter((mark) => !pointed.includes(mark));
  if (theme !== "boxes") {
    drawCovers(context, bySize, layout, theme, pens);
  } else {
    context.globalAlpha = pointed.length > 0 ? FAINT : 1;
    for (const { face } of [...others].reverse()) drawBox(context, face, layout, pens);
    if (pointed.length === 0) drawLabels(context, bySize, layout, pens);
    context.globalAlpha = 1;
    for (const { face } of pointed) drawBox(context, face, layout, pens, 1.6);
    if (pointed.length > 0) drawLabels(context, pointed, layout, pens);
  }
  context.restore();
}

/** A rectangle that the user drew. */
export function drawRectangle(context: Context, box: Box, layout: Layout, active: boolean, unit: number): void {
  const { x, y, width, height } = placed(box, layout);
  context.save();
  for (const [color, line] of [["rgb(0 0 0 / .65)", 4], ["#fff", 2]] as const) {
    context.strokeStyle = color;
    context.lineWidth = line * unit;
    context.setLineDash(active ? [] : [6 * unit, 5 * unit]);
    context.strokeRect(x, y, width, height);
  }
  context.restore();
}

function area(box: Box): number {
  return box.width * box.height;
}

function drawBox(context: Context, face: Face, layout: Layout, pens: Pens, thicker = 1): void {
  const box = placed(face.box, layout);
  const color = classColor(face.emotion, pens.colors);
  const line = thicker * Math.max(2, textOf(box.width, layout, pens) / 7);
  const rim = Math.max(1, line / 3);
  const radius = Math.min(3 * line, box.width / 3, box.height / 3);
  for (const [stroke, width] of [[css(inkOn(color), 0.45), line + 2 * rim], [css(color), line]] as const) {
    context.strokeStyle = stroke;
    context.lineWidth = width;
    context.beginPath();
    context.roundRect(box.x, box.y, box.width, box.height, radius);
    context.stroke();
  }
}
