// What was found, drawn over the picture: boxes with labels, or emoji that hide the faces.

import { classColor, css, inkOn } from "./colors.ts";
import { drawLabels } from "./labels.ts";
import { placed, textOf, type Marked, type Pens, type Placement } from "./layout.ts";
import type { Box, Face } from "./record.ts";

export type Theme = "boxes" | "emoji";

/** Radius of the circle that every emoji covers, in sides of its square (src/mien/drawing/emoji.py). */
const SOLID = 61.5 / 128;

type Context = CanvasRenderingContext2D;

export function drawPicture(context: Context, picture: CanvasImageSource, place: Placement): void {
  context.save();
  if (place.mirror) {
    context.translate(2 * place.left + place.width, 0);
    context.scale(-1, 1);
  }
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, place.left, place.top, place.width, place.height);
  context.restore();
}

/** The picture as a few soft blots: of a face that is not found yet, nothing is to be seen. */
export function drawVeiled(context: Context, picture: CanvasImageSource, place: Placement): void {
  drawPicture(context, blotted(picture), place);
}

/** Its colors, faintly, on the whole canvas: what is left of it around the picture. */
export function drawAround(context: Context, picture: CanvasImageSource, canvas: { width: number; height: number }): void {
  context.save();
  context.globalAlpha = 0.4;
  context.imageSmoothingQuality = "high";
  context.drawImage(blotted(picture), 0, 0, canvas.width, canvas.height);
  context.restore();
}

const blots = document.createElement("canvas");
blots.width = blots.height = 6;

function blotted(picture: CanvasImageSource): HTMLCanvasElement {
  const small = blots.getContext("2d");
  if (small === null) return blots;
  small.imageSmoothingQuality = "high";
  small.drawImage(picture, 0, 0, blots.width, blots.height);
  return blots;
}

export function drawMarks(context: Context, marked: readonly Marked[], place: Placement, theme: Theme, pens: Pens): void {
  context.save();
  context.beginPath();
  context.rect(place.left, place.top, place.width, place.height);
  context.clip();
  const bySize = [...marked].sort((one, other) => area(other.face.box) - area(one.face.box));
  if (theme === "emoji") {
    for (const { face } of bySize) drawCover(context, face, place, pens);
  } else {
    for (const { face } of [...bySize].reverse()) drawBox(context, face, place, pens);
    drawLabels(context, bySize, place, pens);
  }
  context.restore();
}

/** A user's own rectangle. */
export function drawRectangle(context: Context, box: Box, place: Placement, active: boolean, unit: number): void {
  const { x, y, width, height } = placed(box, place);
  context.save();
  for (const [color, line] of [["rgb(0 0 0 / .65)", 4], ["#fff", 2]] as const) {
    context.strokeStyle = color;
    context.lineWidth = line * unit;
    context.setLineDash(active ? [] : [6 * unit, 5 * unit]);
    context.strokeRect(x, y, width, height);
  }
  context.restore();
}

/** The square of the emoji that hides a whole face, as src/mien/drawing/emoji.py measures it. */
export function cover(box: Box, place: Placement): Box {
  const { x, y, width, height } = placed(box, place);
  const edge =
    x <= place.left + 1 || y <= place.top + 1 || x + width >= place.left + place.width - 1 ||
    y + height >= place.top + place.height - 1;
  // A record's boxes end at the picture's edge, where a face may go on.
  const longer = Math.max(width, height);
  const diagonal = edge ? Math.hypot(longer, longer) : Math.hypot(width, height);
  const side = ((1.1 * diagonal) / 2 + 1.5) / SOLID;
  return { x: x + (width - side) / 2, y: y + (height - side) / 2, width: side, height: side };
}

function area(box: Box): number {
  return box.width * box.height;
}

function drawCover(context: Context, face: Face, place: Placement, pens: Pens): void {
  const square = cover(face.box, place);
  const art = pens.emoji.of(face.emotion, face.uncertain);
  if (art !== undefined) {
    context.drawImage(art, square.x, square.y, square.width, square.height);
    return;
  }
  context.fillStyle = css(classColor(face.emotion, pens.colors));
  context.beginPath();
  context.arc(square.x + square.width / 2, square.y + square.height / 2, square.width * SOLID, 0, 2 * Math.PI);
  context.fill();
}

function drawBox(context: Context, face: Face, place: Placement, pens: Pens): void {
  const box = placed(face.box, place);
  const color = classColor(face.emotion, pens.colors);
  const line = Math.max(2, textOf(box.width, place, pens) / 7);
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
