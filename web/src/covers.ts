// What hides faces with their whole heads: emoji, a blur or large pixels. In a crowd, where emoji would overlap, discs of
// the emotions' colors hide the heads, and the emoji lie on them, as large as their neighbours leave room for.

import { classColor, css, inkOn } from "./colors.ts";
import { placed, type Layout, type Marked, type Pens } from "./layout.ts";
import type { Box } from "./record.ts";

/** Radius of the circle that every emoji covers, in sides of its square (src/mien/drawing/emoji.py). */
const SOLID = 61.5 / 128;
/** Radius of a head, and how far its middle lies above the face's, in halves of the box's diagonal (drawing/covers.py). */
const [RADIUS, RISE] = [1.35, 0.25];
/** Cells across a head that is blurred or in large pixels. A browser softens the edges of a blur's cells less. */
const CELLS = { blur: 5, pixelate: 6 } as const;

type Context = CanvasRenderingContext2D;

export type Covering = "emoji" | keyof typeof CELLS;

interface Cover {
  mark: Marked;
  /** The face's box on the canvas. */
  box: Box;
  /** The middle of the head, and the side of the emoji that hides it. */
  x: number;
  y: number;
  side: number;
}

export function drawCovers(
  context: Context,
  marked: readonly Marked[],
  layout: Layout,
  covering: Covering,
  pens: Pens,
): void {
  const covers = marked.map((mark) => coverOf(mark, layout));
  if (covering === "emoji") {
    const rooms = covers.map((one) => roomOf(one, covers));
    // All discs first: none lies over a neighbour's emoji.
    for (const [index, one] of covers.entries()) if (rooms[index]! < one.side) drawDisc(context, one, pens);
    for (const [index, one] of covers.entries()) drawEmoji(context, one, Math.min(rooms[index]!, one.side), pens);
  } else {
    for (const one of covers) drawCoarse(context, one, layout, covering);
  }
  for (const one of covers) {
    if (one.mark.number !== null && one.mark.number === pens.pointed) drawRing(context, one, pens);
  }
}

/** Where the head of a face is, as src/mien/drawing/covers.py measures it in upright faces. */
function coverOf(mark: Marked, layout: Layout): Cover {
  const box = placed(mark.face.box, layout);
  const { x, y, width, height } = box;
  // Where the box ends at the picture's edge, the face may go on.
  const isCut =
    x <= layout.left + 1 || y <= layout.top + 1 || x + width >= layout.left + layout.width - 1 ||
    y + height >= layout.top + layout.height - 1;
  const longer = Math.max(width, height);
  const half = (isCut ? Math.hypot(longer, longer) : Math.hypot(width, height)) / 2;
  return { mark, box, x: x + width / 2, y: y + height / 2 - RISE * half, side: (RADIUS * half + 1.5) / SOLID };
}

/** The side up to which its emoji and those of its neighbours, in proportion to their sizes, do not overlap. */
function roomOf(one: Cover, covers: readonly Cover[]): number {
  let room = Infinity;
  for (const other of covers) {
    if (other === one) continue;
    const apart = Math.max(Math.abs(one.x - other.x), Math.abs(one.y - other.y));
    // A face in another one's middle still gets an emoji of half its box at least.
    room = Math.min(room, Math.max((2 * apart * one.side) / (one.side + other.side), Math.min(one.box.width, one.box.height) / 2));
  }
  return room;
}

function drawDisc(context: Context, { mark: { face }, x, y, side }: Cover, pens: Pens): void {
  const color = classColor(face.emotion, pens.colors);
  context.fillStyle = css(color);
  context.strokeStyle = css(inkOn(color), 0.45);
  context.lineWidth = Math.max(1, side / 60);
  circle(context, x, y, side);
  context.fill();
  context.stroke();
}

function drawEmoji(context: Context, { mark: { face }, x, y }: Cover, side: number, pens: Pens): void {
  const art = pens.emoji.of(face.emotion, face.uncertain);
  if (art !== undefined) context.drawImage(art, x - side / 2, y - side / 2, side, side);
  else {
    context.fillStyle = css(classColor(face.emotion, pens.colors));
    circle(context, x, y, side);
    context.fill();
  }
}

const cells = document.createElement("canvas");

/** Leaves of a head one color for each of its cells: a blur alone could be undone. */
function drawCoarse(context: Context, { x, y, side }: Cover, layout: Layout, covering: keyof typeof CELLS): void {
  const radius = side * SOLID;
  const [left, top] = [Math.max(x - radius, layout.left), Math.max(y - radius, layout.top)];
  const width = Math.min(x + radius, layout.left + layout.width) - left;
  const height = Math.min(y + radius, layout.top + layout.height) - top;
  const small = cells.getContext("2d");
  if (small === null || width <= 0 || height <= 0) return;
  const cell = (2 * radius) / CELLS[covering];
  // A new size clears the canvas.
  [cells.width, cells.height] = [Math.max(1, Math.round(width / cell)), Math.max(1, Math.round(height / cell))];
  small.imageSmoothingQuality = "high";
  small.drawImage(context.canvas, left, top, width, height, 0, 0, cells.width, cells.height);
  context.save();
  circle(context, x, y, side);
  context.clip();
  context.imageSmoothingEnabled = covering === "blur";
  context.imageSmoothingQuality = "high";
  context.drawImage(cells, left, top, width, height);
  context.restore();
}

/** Stands out: the user points at this face. */
function drawRing(context: Context, { x, y, side }: Cover, pens: Pens): void {
  const line = Math.max(2, pens.text / 4);
  for (const [color, width] of [["rgb(0 0 0 / .65)", 2 * line], ["#fff", line]] as const) {
    context.strokeStyle = color;
    context.lineWidth = width;
    circle(context, x, y, side);
    context.stroke();
  }
}

function circle(context: Context, x: number, y: number, side: number): void {
  context.beginPath();
  context.arc(x, y, side * SOLID, 0, 2 * Math.PI);
}
