// Mien's emoji, from the same SVG files that Python draws (src/mien/drawing/emoji.py).

import anger from "../../src/mien/assets/emoji/anger.svg?raw";
import disgust from "../../src/mien/assets/emoji/disgust.svg?raw";
import uncertain from "../../src/mien/assets/emoji/uncertain.svg?raw";
import fear from "../../src/mien/assets/emoji/fear.svg?raw";
import happiness from "../../src/mien/assets/emoji/happiness.svg?raw";
import neutral from "../../src/mien/assets/emoji/neutral.svg?raw";
import plain from "../../src/mien/assets/emoji/plain.svg?raw";
import sadness from "../../src/mien/assets/emoji/sadness.svg?raw";
import surprise from "../../src/mien/assets/emoji/surprise.svg?raw";
import { classColor } from "./colors.ts";

/** Side in pixels of the rendered emoji. */
const SIDE = 512;
/** The saturation that the emoji of an uncertain face keeps, 0..1. */
const FADED = 0.35;

const ART: Record<string, string> = { anger, disgust, fear, happiness, neutral, sadness, surprise };

/** The emoji as a data URL. */
export function emojiAddress(name: string): string {
  return address(ART[name] ?? plain);
}

export const UNCERTAIN = address(uncertain);

function address(svg: string): string {
  // Some browsers draw an SVG on a canvas only if it has width and height.
  const sized = svg.replace("<svg ", `<svg width="${SIDE}" height="${SIDE}" `);
  return `data:image/svg+xml,${encodeURIComponent(sized)}`;
}

/** The emoji of all classes, ready to be drawn. */
export class EmojiSheet {
  readonly #pictures = new Map<string, HTMLCanvasElement>();

  /** Renders the emoji. Nothing is fetched: they are part of the page. */
  static async load(classes: readonly string[], colors: Record<string, string>): Promise<EmojiSheet> {
    const sheet = new EmojiSheet();
    const mark = await picture(UNCERTAIN);
    for (const name of classes) {
      const certain = canvasOf(await picture(emojiAddress(name)));
      if (!(name in ART)) tint(certain, classColor(name, colors));
      const pale = canvasOf(certain);
      fade(pale);
      context(pale).drawImage(mark, 0, 0, SIDE, SIDE);
      sheet.#pictures.set(name, certain).set(`${name}?`, pale);
    }
    return sheet;
  }

  /** An uncertain one is pale and has a question mark. */
  of(name: string, uncertain: boolean): HTMLCanvasElement | undefined {
    return this.#pictures.get(uncertain ? `${name}?` : name);
  }
}

async function picture(source: string): Promise<HTMLImageElement> {
  const image = new Image(SIDE, SIDE);
  image.src = source;
  await image.decode();
  return image;
}

function canvasOf(source: CanvasImageSource): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  context(canvas).drawImage(source, 0, 0, SIDE, SIDE);
  return canvas;
}

function context(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const result = canvas.getContext("2d");
  if (result === null) throw new Error("this browser cannot draw on a canvas");
  return result;
}

function tint(canvas: HTMLCanvasElement, color: readonly [number, number, number]): void {
  change(canvas, (data, at) => {
    for (let channel = 0; channel < 3; channel++) data[at + channel]! *= color[channel]! / 255;
  });
}

function fade(canvas: HTMLCanvasElement): void {
  change(canvas, (data, at) => {
    const grey = 0.299 * data[at]! + 0.587 * data[at + 1]! + 0.114 * data[at + 2]!;
    for (let channel = 0; channel < 3; channel++) data[at + channel] = grey + FADED * (data[at + channel]! - grey);
  });
}

function change(canvas: HTMLCanvasElement, pixel: (data: Uint8ClampedArray, at: number) => void): void {
  const image = context(canvas).getImageData(0, 0, SIDE, SIDE);
  for (let at = 0; at < image.data.length; at += 4) pixel(image.data, at);
  context(canvas).putImageData(image, 0, 0);
}
