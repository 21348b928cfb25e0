// Draws the faces' labels, each where it hides neither a face nor another label.

import { classColor, css, inkOn } from "./colors.ts";
import { placed, textOf, type Layout, type Marked, type Pens } from "./layout.ts";
import type { Box } from "./record.ts";
import { label } from "./format.ts";

export const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif';

type Context = CanvasRenderingContext2D;

/** What a label shows, and its width. */
interface Wording {
  words: string;
  hasEmoji: boolean;
  /** Where the words begin, from the label's left edge. */
  before: number;
  width: number;
}

interface Label extends Wording {
  mark: Marked;
  text: number;
  where: Box;
  /** Whether it lies over its own face, where there was no space beside it. */
  over: boolean;
}

/** Attempts to place all labels, the best first: full or short labels, above or below the boxes first. */
const ATTEMPTS = [
  { short: false, below: false },
  { short: true, below: false },
  { short: true, below: true },
];

/** The size of the text, in that of others, where a label would hide a good part of the face that it is for. */
const TINY = 0.7;

/** Draws the labels of all faces. Earlier faces choose their space first. */
export function drawLabels(context: Context, marked: readonly Marked[], layout: Layout, pens: Pens): void {
  let best: readonly Label[] | null = null;
  let least = Infinity;
  for (const attempt of ATTEMPTS) {
    const labels = placedLabels(context, marked, layout, pens, attempt);
    const over = labels.filter((one) => one.over).length;
    if (over < least) [best, least] = [labels, over];
    if (over === 0) break;
  }
  for (const one of best ?? []) drawLabel(context, one, pens);
}

function placedLabels(
  context: Context,
  marked: readonly Marked[],
  layout: Layout,
  pens: Pens,
  attempt: { short: boolean; below: boolean },
): Label[] {
  const boxes = marked.map(({ face }) => placed(face.box, layout));
  const labels: Label[] = [];
  for (const [index, mark] of marked.entries()) {
    const box = boxes[index]!;
    const text = textOf(box.width, layout, pens);
    const occupied = [...boxes.filter((other) => other !== box), ...labels.map(({ where }) => where)];
    const spot = (size: number, from: number) =>
      bestSpot(wordings(context, mark, size).slice(from), box, 1.9 * size, layout, occupied, attempt.below);
    const found = spot(text, attempt.short ? 1 : 0);
    // In a crowd a small number leaves more of its face to see.
    const isSmall = found.over && mark.number !== null && box.height < 6 * text;
    labels.push(isSmall ? { mark, text: TINY * text, ...spot(TINY * text, -1) } : { mark, text, ...found });
  }
  return labels;
}

/** What a label may show, the fullest first. */
function wordings(context: Context, { face, number }: Marked, text: number): Wording[] {
  context.font = `600 ${text}px ${FONT}`;
  const wide = (words: string) => context.measureText(words).width;
  const withEmoji = (words: string) => ({ words, hasEmoji: true, before: 2.2 * text, width: wide(words) + 2.8 * text });
  if (number === null) return [withEmoji(label(face)), { words: "", hasEmoji: true, before: 0, width: 2.2 * text }];
  const alone = `${number}`;
  return [
    withEmoji(`${number}  ${label(face)}`),
    withEmoji(alone),
    { words: alone, hasEmoji: false, before: 0.5 * text, width: wide(alone) + text },
  ];
}

/** The fullest label that hides no other face or label, outside its own box if possible; else the shortest. */
function bestSpot(
  choice: readonly Wording[],
  box: Box,
  height: number,
  layout: Layout,
  occupied: readonly Box[],
  below: boolean,
): Wording & { where: Box; over: boolean } {
  const gap = height / 5;
  const [right, bottom] = [box.x + box.width, box.y + box.height];
  const y = clamped(box.y, layout.top, layout.top + layout.height - height);
  const beginning = (width: number) => clamped(box.x, layout.left, layout.left + layout.width - width);
  for (const over of [false, true]) {
    for (const wording of choice) {
      const { width } = wording;
      const x = beginning(width);
      const rows = over ? [box.y + gap, bottom - height - gap] : [box.y - height - gap, bottom + gap];
      const spots = (below ? rows.reverse() : rows).map((row) => ({ x, y: row }));
      if (!over) spots.push({ x: right + gap, y }, { x: box.x - width - gap, y });
      for (const spot of spots) {
        const where = { ...spot, width, height };
        const isFree = contains(layout, where) && !occupied.some((other) => overlaps(where, other));
        if (isFree) return { ...wording, where, over };
      }
    }
  }
  const shortest = choice.at(-1)!;
  return { ...shortest, where: { x: beginning(shortest.width), y, width: shortest.width, height }, over: true };
}

function drawLabel(context: Context, { mark, text, words, hasEmoji, before, where }: Label, pens: Pens): void {
  const { emotion, uncertain } = mark.face;
  const color = classColor(emotion, pens.colors);
  context.font = `600 ${text}px ${FONT}`;
  context.textBaseline = "middle";
  context.fillStyle = css(color);
  context.strokeStyle = css(inkOn(color), 0.45);
  context.lineWidth = Math.max(1, text / 14);
  context.beginPath();
  context.roundRect(where.x, where.y, where.width, where.height, 0.5 * text);
  context.fill();
  context.stroke();
  const art = pens.emoji.of(emotion, uncertain);
  const side = 1.5 * text;
  if (hasEmoji && art !== undefined) context.drawImage(art, where.x + 0.35 * text, where.y + 0.2 * text, side, side);
  context.fillStyle = css(inkOn(color));
  context.fillText(words, where.x + before, where.y + 0.53 * where.height);
}

function clamped(value: number, least: number, most: number): number {
  return Math.max(Math.min(value, most), least);
}

function contains({ left, top, width, height }: Layout, box: Box): boolean {
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
