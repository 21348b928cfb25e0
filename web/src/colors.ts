// The colors of classes, equal to those of src/mien/drawing/colors.py.

export type Rgb = readonly [number, number, number];

export const INK: Rgb = [24, 24, 28];
export const PAPER: Rgb = [255, 255, 255];

/** The class's color in page.json. A custom class may have none there: its color depends on its name alone. */
export function classColor(name: string, colors: Record<string, string>): Rgb {
  const hex = colors[name];
  if (hex !== undefined) return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)) as unknown as Rgb;
  return fromHue(crc32(new TextEncoder().encode(name)) / 2 ** 32);
}

export function css([red, green, blue]: Rgb, alpha = 1): string {
  return `rgb(${red} ${green} ${blue} / ${alpha})`;
}

/** Ink or paper, whichever has more contrast with the color. */
export function inkOn(color: Rgb): Rgb {
  return luminance(color) > 0.22 ? INK : PAPER;
}

/** Relative luminance 0..1 as in WCAG 2. */
function luminance(color: Rgb): number {
  const [red, green, blue] = color.map((value) => {
    const part = value / 255;
    return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  }) as unknown as Rgb;
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** A color of lightness 0.6 and saturation 0.65; hue is 0..1. */
function fromHue(hue: number): Rgb {
  const chroma = 0.65 * (1 - Math.abs(2 * 0.6 - 1));
  const channel = (shift: number) => {
    const k = (shift + hue * 12) % 12;
    return Math.round(255 * (0.6 - (chroma / 2) * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [channel(0), channel(8), channel(4)];
}

function crc32(bytes: Uint8Array): number {
  let sum = 0xffffffff;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return (sum ^ 0xffffffff) >>> 0;
}
