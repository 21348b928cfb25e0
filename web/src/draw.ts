// What was found, drawn over the picture: boxes with labels, or emoji that hide the faces.

import { classColour, css, inkOn } from "./colours.ts";
import type { EmojiSheet } from "./emoji.ts";
import type { Box, Face } from "./record.ts";
import { label } from "./words.ts";

export type Theme = "boxes" | "emoji";

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
  colours: Record<string, string>;
  /** Height in pixels of the smallest text. */
  text: number;
}

/** Radius of the circle that every emoji covers, in sides of its square (src/mien/media/emoji.py). */
const SOLID = 61.5 / 128;
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif';

type Context = CanvasRenderingContext2D;

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

/** Its colours, faintly, on the whole canvas: what is left of it around the picture. */
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
    const taken: Box[] = [];
    for (const mark of bySize) {
      const others = bySize.filter((other) => other !== mark).map(({ face }) => placed(face.box, place));
      drawLabel(context, mark, place, pens, others, taken);
    }
  }
  context.restore();
}

/** A user's own rectangle. */
export function drawRectangle(context: Context, box: Box, place: Placement, active: boolean, unit: number): void {
  const { x, y, width, height } = placed(box, place);
  context.save();
  for (const [colour, line] of [["rgb(0 0 0 / .65)", 4], ["#fff", 2]] as const) {
    context.strokeStyle = colour;
    context.lineWidth = line * unit;
    context.setLineDash(active ? [] : [6 * unit, 5 * unit]);
    context.strokeRect(x, y, width, height);
  }
  context.restore();
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

/** The square of the emoji that hides a whole face, as src/mien/media/emoji.py measures it. */
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
  context.fillStyle = css(classColour(face.emotion, pens.colours));
  context.beginPath();
  context.arc(square.x + square.width / 2, square.y + square.height / 2, square.width * SOLID, 0, 2 * Math.PI);
  context.fill();
}

/** The size of a face's text, which follows the face within what suits the picture. */
function textOf(width: number, place: Placement, pens: Pens): number {
  const short = Math.min(place.width, place.height);
  const text = Math.min(Math.max(0.15 * width, pens.text, 0.016 * short), Math.max(1.25 * pens.text, 0.036 * short));
  return Math.round(text); // in whole pixels, so that it does not change with every frame
}

function drawBox(context: Context, face: Face, place: Placement, pens: Pens): void {
  const box = placed(face.box, place);
  const colour = classColour(face.emotion, pens.colours);
  const line = Math.max(2, textOf(box.width, place, pens) / 7);
  const rim = Math.max(1, line / 3);
  const radius = Math.min(3 * line, box.width / 3, box.height / 3);
  for (const [stroke, width] of [[css(inkOn(colour), 0.45), line + 2 * rim], [css(colour), line]] as const) {
    context.strokeStyle = stroke;
    context.lineWidth = width;
    context.beginPath();
    context.roundRect(box.x, box.y, box.width, box.height, radius);
    context.stroke();
  }
}

/** What a label says, the fullest first, and whether with the emoji. */
function wordings({ face, number }: Marked): readonly (readonly [words: string, emoji: boolean])[] {
  if (number === null) return [[label(face), true], ["", true]];
  return [[`${number}  ${label(face)}`, true], [`${number}`, true], [`${number}`, false]];
}

function drawLabel(context: Context, mark: Marked, place: Placement, pens: Pens, others: Box[], taken: Box[]): void {
  const { emotion, uncertain, box: own } = mark.face;
  const box = placed(own, place);
  const text = textOf(box.width, place, pens);
  const colour = classColour(emotion, pens.colours);
  context.font = `600 ${text}px ${FONT}`;
  context.textBaseline = "middle";
  const emoji = 1.5 * text;
  const height = 1.9 * text;
  const choice = wordings(mark).map(([words, drawn]) => {
    const before = drawn ? emoji + (words === "" ? 0.35 : 0.7) * text : 0.6 * text;
    const after = words === "" ? 0.35 * text : 0.6 * text;
    return { words, drawn, before, width: before + context.measureText(words).width + after };
  });
  const { words, drawn, before, where } = bestLabel(choice, box, height, place, others, taken);
  taken.push(where);
  context.fillStyle = css(colour);
  context.strokeStyle = css(inkOn(colour), 0.45);
  context.lineWidth = Math.max(1, text / 14);
  context.beginPath();
  context.roundRect(where.x, where.y, where.width, height, 0.5 * text);
  context.fill();
  context.stroke();
  const art = pens.emoji.of(emotion, uncertain);
  if (drawn && art !== undefined) context.drawImage(art, where.x + 0.35 * text, where.y + 0.2 * text, emoji, emoji);
  context.fillStyle = css(inkOn(colour));
  context.fillText(words, where.x + before, where.y + 0.53 * height);
}

/** The fullest label that hides no other face and no label, beside its own box rather than in it; else the shortest. */
function bestLabel<Wording extends { width: number }>(
  choice: readonly Wording[],
  box: Box,
  height: number,
  place: Placement,
  others: readonly Box[],
  taken: readonly Box[],
): Wording & { where: Box } {
  const gap = height / 5;
  const [right, bottom] = [box.x + box.width, box.y + box.height];
  const barred = [...others, ...taken];
  for (const within of [false, true]) {
    for (const wording of choice) {
      const { width } = wording;
      if (width > place.width) continue;
      const x = clamped(box.x, place.left, place.left + place.width - width);
      const y = clamped(box.y, place.top, place.top + place.height - height);
      const spots = within
        ? [[x, box.y + gap], [x, bottom - height - gap]] as const
        : [[x, box.y - height - gap], [x, bottom + gap], [right + gap, y], [box.x - width - gap, y]] as const;
      for (const [left, top] of spots) {
        const where = { x: left, y: top, width, height };
        if (contains(place, where) && !barred.some((other) => overlaps(where, other))) return { ...wording, where };
      }
    }
  }
  const shortest = choice.at(-1)!;
  const x = clamped(box.x, place.left, place.left + place.width - shortest.width);
  const y = clamped(box.y, place.top, place.top + place.height - height);
  return { ...shortest, where: { x, y, width: shortest.width, height } };
}

function clamped(value: number, least: number, most: number): number {
  return Math.max(Math.min(value, most), least);
}

function contains({ left, top, width, height }: Placement, box: Box): boolean {
  return (
    box.x >= left && box.y >= top && box.x + box.width <= left + width && box.y + box.height <= top + height
  );
}

function overlaps(one: Box, other: Box): boolean {
  return (
    one.x < other.x + other.width && other.x < one.x + one.width &&
    one.y < other.y + other.height && other.y < one.y + one.height
  );
}
