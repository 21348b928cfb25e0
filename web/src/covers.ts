// Emoji that hide faces. Alone, an emoji covers its whole face. In a crowd, where such emoji would overlap, a tile of the
// emotion's color hides the face, and the emoji lies on it, as large as its neighbours leave room for.

import { classColor, css, inkOn } from "./colors.ts";
import { placed, type Layout, type Marked, type Pens } from "./layout.ts";
import type { Box } from "./record.ts";

/** Radius of the circle that every emoji covers, in sides of its square (src/mien/drawing/emoji.py). */
const SOLID = 61.5 / 128;
/** What is hidden of the picture around a face's box, in sides of the box. */
const MARGIN = 0.05;

type Context = CanvasRenderingContext2D;

interface Cover {
  mark: Marked;
  /** The face's box on the canvas. */
  box: Box;
  /** Where the box ends at the picture's edge, the face may go on. */
  isCut: boolean;
  /** The centre, and the side of the emoji that hides the whole face. */
  x: number;
  y: number;
  side: number;
}

export function drawCovers(context: Context, marked: readonly Marked[], layout: Layout, pens: Pens): void {
  const covers = marked.map((mark) => coverOf(mark, layout));
  const rooms = covers.map((one) => roomOf(one, covers));
  // All tiles first: none lies over a neighbour's emoji.
  for (const [index, one] of covers.entries()) if (rooms[index]! < one.side) drawTile(context, one, pens);
  for (const [index, one] of covers.entries()) drawEmoji(context, one, Math.min(rooms[index]!, one.side), pens);
}

/** The emoji that hides a whole face, as src/mien/drawing/emoji.py measures it. */
function coverOf(mark: Marked, layout: Layout): Cover {
  const box = placed(mark.face.box, layout);
  const { x, y, width, height } = box;
  const isCut =
    x <= layout.left + 1 || y <= layout.top + 1 || x + width >= layout.left + layout.width - 1 ||
    y + height >= layout.top + layout.height - 1;
  const longer = Math.max(width, height);
  const diagonal = isCut ? Math.hypot(longer, longer) : Math.hypot(width, height);
  return { mark, box, isCut, x: x + width / 2, y: y + height / 2, side: (1.1 * diagonal / 2 + 1.5) / SOLID };
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

function drawTile(context: Context, { mark: { face }, box, isCut, x, y, side }: Cover, pens: Pens): void {
  const color = classColor(face.emotion, pens.colors);
  context.fillStyle = css(color);
  context.strokeStyle = css(inkOn(color), 0.45);
  context.lineWidth = Math.max(1, side / 60);
  context.beginPath();
  if (isCut) context.arc(x, y, side * SOLID, 0, 2 * Math.PI);
  else {
    const [across, down] = [MARGIN * box.width + 1.5, MARGIN * box.height + 1.5];
    context.roundRect(box.x - across, box.y - down, box.width + 2 * across, box.height + 2 * down, 1.5 * Math.min(across, down));
  }
  context.fill();
  context.stroke();
}

function drawEmoji(context: Context, { mark: { face, number }, x, y }: Cover, side: number, pens: Pens): void {
  const art = pens.emoji.of(face.emotion, face.uncertain);
  if (art !== undefined) context.drawImage(art, x - side / 2, y - side / 2, side, side);
  else {
    context.fillStyle = css(classColor(face.emotion, pens.colors));
    disc(context, x, y, side);
    context.fill();
  }
  if (number === null || number !== pens.pointed) return;
  const line = Math.max(2, pens.text / 4);
  for (const [color, width] of [["rgb(0 0 0 / .65)", 2 * line], ["#fff", line]] as const) {
    context.strokeStyle = color;
    context.lineWidth = width;
    disc(context, x, y, side);
    context.stroke();
  }
}

function disc(context: Context, x: number, y: number, side: number): void {
  context.beginPath();
  context.arc(x, y, side * SOLID, 0, 2 * Math.PI);
}
