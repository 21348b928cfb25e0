// What is sent to the service of a photo: the file as it is, or a smaller JPEG with all that the detector sees of it.

import { Unreadable } from "./decode.ts";
import { megabytes } from "./format.ts";
import type { PageConfig, ServiceConfig } from "./config.ts";

/** A file of at most this many bytes is sent as it is, if the service takes it. */
const LIGHT = 2_000_000;
/** Of the JPEG, 0..1. Of 18 faces of 40 to 59 pixels all are found as in the file, with the same emotions. */
const QUALITY = 0.9;
const MAX_TRIES = 8;

/** Throws Unreadable if the picture cannot be made small enough. */
export async function forService(
  file: Blob,
  full: ImageBitmap,
  settings: PageConfig,
  service: ServiceConfig,
): Promise<Blob> {
  const isTaken =
    service.formats.includes(file.type) &&
    file.size <= service.max_body &&
    full.width * full.height <= service.max_pixels;
  if (isTaken && file.size <= LIGHT) return file;
  let scale = seenScale(full, settings, service.max_pixels);
  for (let tries = 0; tries < MAX_TRIES; tries++, scale *= Math.SQRT1_2) {
    const blob = await asJpeg(full, scale);
    if (blob === null || blob.size > service.max_body) continue;
    return isTaken && blob.size >= file.size ? file : blob;
  }
  if (isTaken) return file;
  throw new Unreadable(`This picture cannot be made small enough for the service, which takes ${megabytes(service.max_body)}.`);
}

/** The part of the picture's sides that the detector sees, 0..1. Faces are cropped with twice the detector's detail. */
function seenScale({ width, height }: ImageBitmap, settings: PageConfig, maxPixels: number): number {
  const { search, detect_mode, detect_side } = settings;
  const seen = detect_mode === "thorough" ? search.thorough_max_pixels : search.max_pixels;
  const scale = Math.min(1, Math.sqrt(Math.min(seen, maxPixels) / (width * height)));
  return detect_side === null ? scale : Math.min(scale, (2 * detect_side) / Math.max(width, height));
}

/** null where the canvas is too large for this browser. */
async function asJpeg(full: ImageBitmap, scale: number): Promise<Blob | null> {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.floor(full.width * scale));
  canvas.height = Math.max(1, Math.floor(full.height * scale));
  const context = canvas.getContext("2d");
  if (context === null) return null;
  context.fillStyle = "#fff"; // under transparent parts, as the service does
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(full, 0, 0, canvas.width, canvas.height);
  // What is too large stays transparent, without an error.
  if (context.getImageData(0, 0, 1, 1).data[3] !== 255) return null;
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
}
