import type { Grey, Rgba } from "./pixels.ts";

/**
 * A picture in grey by ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B in 15 bits of fraction, rounded, which is what
 * OpenCV's cvtColor gives for each of the 2^24 colors.
 */
export function toGrey({ data, width, height }: Rgba): Grey {
  const grey = new Uint8Array(width * height);
  for (let i = 0, at = 0; i < grey.length; i += 1, at += 4) {
    grey[i] = (data[at]! * 9798 + data[at + 1]! * 19235 + data[at + 2]! * 3735 + 16384) >> 15;
  }
  return { data: grey, width, height };
}
