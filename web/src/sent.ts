// What is sent to the service of a photo: the file as it is, or a smaller JPEG of it.

import { Unreadable } from "./decode.ts";
import { megabytes } from "./format.ts";
import type { PageConfig } from "./record.ts";

/** A file of at most this many bytes is sent as it is, if the service takes it. */
const LIGHT = 2_000_000;
/** What a canvas holds in every browser; the detector sees up to 24 million pixels. */
const MAX_PIXELS = 2 ** 24;
const MAX_SIDE = 8192;
/** Of the JPEG, 0..1. */
const QUALITY = 0.9;

/** Throws Unreadable if the picture cannot be made small enough. */
export async function forService(file: Blob, full: ImageBitmap, settings: PageConfig): Promise<Blob> {
  const pixels = full.width * full.height;
  const isTaken =
    settings.formats.includes(file.type) && file.size <= settings.max_body && pixels <= settings.max_pixels;
  if (isTaken && file.size <= LIGHT) return file;
  const most = Math.min(MAX_PIXELS, settings.max_pixels);
  let scale = Math.min(1, MAX_SIDE / Math.max(full.width, full.height), Math.sqrt(most / pixels));
  for (let tries = 0; tries < 4; tries++, scale /= 2) {
    const blob = await asJpeg(full, scale);
    if (isTaken && (blob === null || blob.size >= file.size)) return file;
    if (blob !== null && blob.size <= settings.max_body) return blob;
  }
  throw new Unreadable(`This picture cannot be made small enough for the service, which takes ${megabytes(settings.max_body)}.`);
}

async function asJpeg(full: ImageBitmap, scale: number): Promise<Blob | null> {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.floor(full.width * scale));
  canvas.height = Math.max(1, Math.floor(full.height * scale));
  const context = canvas.getContext("2d", { alpha: false });
  if (context === null) return null;
  context.fillStyle = "#fff"; // under transparent parts, as the service does
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(full, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
}
