// The labels of faces, each placed where it hides neither a face nor another label.

import { classColor, css, inkOn } from "./colors.ts";
import { placed, textOf, type Marked, type Pens, type Placement } from "./layout.ts";
import type { Box } from "./record.ts";
import { label } from "./words.ts";

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif';

type Context = CanvasRenderingContext2D;

/** A label's words, with the emoji or without, and how wide it is; the words begin `before` from its left. */
interface Wording {
  words: string;
  drawn: boolean;
  before: number;
  width: number;
}

interface Label extends Wording {
  mark: Marked;
  text: number;
  where: Box;
  /** Whether it lies over its own face: there was no place beside it. */
  over: boolean;
}

/** Ways to place all labels: with full ones or only short ones, above the boxes first or below them. */
const LAYOUTS = [
  { short: false, below: false },
  { short: true, below: false },
  { short: true, below: true },
];

/** The first have the first choice of a place. */
export function drawLabels(context: Context, marked: readonly Marked[], place: Placement, pens: Pens): void {
  let best: readonly Label[] | null = null;
  let least = Infinity;
  for (const layout of LAYOUTS) {
    const labels = placedLabels(context, marked, place, pens, layout);
    const over = labels.filter((one) => one.over).length;
    if (over < least) [best, least] = [labels, over];
    if (over === 0) break;
  }
  for (const one of best ?? []) drawLabel(context, one, pens);
}

function placedLabels(
  context: Context,
  marked: readonly Marked[],
  place: Placement,
  pens: Pens,
  layout: { short: boolean; below: boolean },
): Label[] {
  const boxes = marked.map(({ face }) => placed(face.box, place));
  const labels: Label[] = [];
  for (const [index, mark] of marked.entries()) {
    const box = boxes[index]!;
    const text = textOf(box.width, place, pens);
    const choice = wordings(context, mark, text).slice(layout.short ? 1 : 0);
    const barred = [...boxes.filter((other) => other !== box), ...labels.map(({ where }) => where)];
    labels.push({ mark, text, ...bestSpot(choice, box, 1.9 * text, place, barred, layout.below) });
  }
  return labels;
}

/** What a label may say, the fullest first. */
function wordings(context: Context, { face, number }: Marked, text: number): Wording[] {
  context.font = `600 ${text}px ${FONT}`;
  const wide = (words: string) => context.measureText(words).width;
  const withEmoji = (words: string) => ({ words, drawn: true, before: 2.2 * text, width: wide(words) + 2.8 * text });
  if (number === null) return [withEmoji(label(face)), { words: "", drawn: true, before: 0, width: 2.2 * text }];
  const alone = `${number}`;
  return [
    withEmoji(`${number}  ${label(face)}`),
    withEmoji(alone),
    { words: alone, drawn: false, before: 0.5 * text, width: wide(alone) + text },
  ];
}

/** The fullest that hides no other face and no label, beside its own box rather than in it; else the shortest. */
function bestSpot(
  choice: readonly Wording[],
  box: Box,
  height: number,
  place: Placement,
  barred: readonly Box[],
  below: boolean,
): Wording & { where: Box; over: boolean } {
  const gap = height / 5;
  const [right, bottom] = [box.x + box.width, box.y + box.height];
  const y = clamped(box.y, place.top, place.top + place.height - height);
  const beginning = (width: number) => clamped(box.x, place.left, place.left + place.width - width);
  for (const over of [false, true]) {
    for (const wording of choice) {
      const { width } = wording;
      const x = beginning(width);
      const rows = over ? [box.y + gap, bottom - height - gap] : [box.y - height - gap, bottom + gap];
      const spots = (below ? rows.reverse() : rows).map((row) => ({ x, y: row }));
      if (!over) spots.push({ x: right + gap, y }, { x: box.x - width - gap, y });
      for (const spot of spots) {
        const where = { ...spot, width, height };
        if (contains(place, where) && !barred.some((other) => overlaps(where, other))) return { ...wording, where, over };
      }
    }
  }
  const shortest = choice.at(-1)!;
  return { ...shortest, where: { x: beginning(shortest.width), y, width: shortest.width, height }, over: true };
}

function drawLabel(context: Context, { mark, text, words, drawn, before, where }: Label, pens: Pens): void {
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
  if (drawn && art !== undefined) context.drawImage(art, where.x + 0.35 * text, where.y + 0.2 * text, side, side);
  context.fillStyle = css(inkOn(color));
  context.fillText(words, where.x + before, where.y + 0.53 * where.height);
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
