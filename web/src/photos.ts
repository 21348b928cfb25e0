// Photos, one after another: decoded, read by the service or in the browser, and shown.

import { computed, effect, signal } from "@preact/signals";
import { predict, Problem } from "./api.ts";
import { engine } from "./backend.ts";
import type { Marked } from "./layout.ts";
import type { Box, PageConfig, PictureRecord } from "./record.ts";
import { scaledRecord } from "./scaleRecord.ts";
import {
  backend, canDetect, config, drawing, errorText, marked, message, reading, record, rectangles, showMessage, shown,
  view, type Shown,
} from "./state.ts";
import { count, megabytes } from "./format.ts";

/** Why a photo was not read. */
export interface Failure {
  why: string;
  /** Whether another try can succeed: the file itself is readable. */
  canRetry: boolean;
}

export interface Photo {
  id: number;
  name: string;
  file: Blob;
  /** A copy for the strip. */
  thumbnail: ImageBitmap | null;
  /** In pixels of the upright picture. */
  width: number;
  height: number;
  record: PictureRecord | null;
  state: "waiting" | "reading" | "done" | "failed";
  failure: Failure | null;
  rectangles: readonly Box[];
}

export const photos = signal<readonly Photo[]>([]);
export const current = signal(0);

/** Why the photo shown was not read; null where it was read, and for the camera's picture. */
export const failure = computed(() => (view.value === "photos" ? photos.value[current.value]?.failure ?? null : null));

const MAX_PHOTOS = 30;
/** The longer sides, in pixels, of the picture shown, of its copy in the strip, and of what is sent. */
const SHOWN_SIDE = 2048;
const THUMBNAIL_SIDE = 128;
const SENT_SIDE = 4096;
/** Statuses below 500 after which another try can succeed; 0 is no response at all. */
const RETRYABLE = [0, 401, 408, 429];

/** The file itself cannot be read: another try would fail too. */
class Unreadable extends Error {}

let nextId = 1;
/** Rises when the photos are replaced or read again: results of an earlier generation are dropped. */
let generation = 0;
let working = false;
/** Whether the user chose the photo shown: then no other one is shown instead. */
let picked = false;

/** Replaces the photos. */
export function open(files: readonly Blob[]): void {
  if (files.length === 0) return;
  generation++;
  message.value = null;
  if (files.length > MAX_PHOTOS) {
    showMessage(`Only the first ${MAX_PHOTOS} of ${count(files.length, "picture")} are read.`, "note");
  }
  for (const photo of photos.value) photo.thumbnail?.close();
  photos.value = files.slice(0, MAX_PHOTOS).map((file) => ({
    id: nextId++,
    name: file instanceof File && file.name !== "" ? file.name : "picture",
    file,
    thumbnail: null,
    width: 0,
    height: 0,
    record: null,
    state: "waiting" as const,
    failure: null,
    rectangles: [],
  }));
  view.value = "photos";
  drawing.value = backend.value === "browser" && !canDetect.value;
  picked = false;
  void show(0);
}

/** Shows the photo that the user chose. */
export function goTo(index: number): void {
  picked = true;
  message.value = null;
  void show(index);
}

/** Shows a photo. If it waits, it is read next. */
async function show(index: number): Promise<void> {
  const photo = photos.value[index];
  if (photo === undefined) return;
  current.value = index;
  const mine = generation;
  clear();
  rectangles.value = photo.rectangles;
  reading.value = photo.state !== "failed" && photo.state !== "done";
  if (photo.failure?.canRetry === false) return;
  try {
    const full = await decode(photo);
    if (mine === generation && current.value === index) {
      const size = { width: full.width, height: full.height };
      shown.value = { picture: await smaller(full, SHOWN_SIDE), ...size };
      if (mine === generation && current.value === index) present(photos.value[index] ?? photo);
    }
    full.close();
  } catch (error) {
    if (mine !== generation) return;
    fail(photo, error);
  }
  void work();
}

/** Reads all photos again, after the backend changed. */
export function readAgain(): void {
  generation++;
  const initial = { state: "waiting", failure: null, record: null, rectangles: [] } as const;
  for (const photo of photos.value) change(photo.id, initial);
  void show(current.value);
}

/** Reads the photo shown once more, after it failed. */
export function tryAgain(): void {
  const photo = photos.value[current.value];
  if (photo === undefined) return;
  message.value = null;
  change(photo.id, { state: "waiting", failure: null });
  void show(current.value);
}

/** Reads the photo shown with the rectangles that the user drew. */
export function readRectangles(boxes: readonly Box[]): void {
  const photo = photos.value[current.value];
  if (photo === undefined) return;
  rectangles.value = boxes;
  change(photo.id, { state: "waiting", failure: null, rectangles: boxes });
  void work();
}

export function leave(): void {
  generation++;
  clear();
  for (const photo of photos.value) photo.thumbnail?.close();
  photos.value = [];
}

/** The photo shown in full size, limited to what a canvas holds in every browser. */
export async function fullSize(): Promise<{ picture: ImageBitmap; shown: Shown; name: string } | null> {
  const photo = photos.value[current.value];
  if (photo === undefined || shown.value === null) return null;
  const full = await decode(photo);
  const picture = await smaller(full, SENT_SIDE);
  return { picture, shown: { picture, width: full.width, height: full.height }, name: photo.name };
}

function clear(): void {
  record.value = null;
  marked.value = [];
  shown.value = null;
  rectangles.value = [];
  reading.value = false;
}

function change(id: number, what: Partial<Photo>): void {
  photos.value = photos.value.map((photo) => (photo.id === id ? { ...photo, ...what } : photo));
}

function present(photo: Photo): void {
  if (photos.value[current.value]?.id !== photo.id) return;
  reading.value = photo.state === "waiting" || photo.state === "reading";
  record.value = photo.record;
  marked.value = photo.record === null ? [] : numbered(photo.record);
}

export function numbered(read: PictureRecord): Marked[] {
  const several = read.faces.length > 1;
  return read.faces.map((face, index) => ({ face, number: several ? index + 1 : null }));
}

function fail(photo: Photo, error: unknown): void {
  const mayPass = error instanceof Problem ? error.status >= 500 || RETRYABLE.includes(error.status) : true;
  const canRetry = mayPass && !(error instanceof Unreadable);
  change(photo.id, { state: "failed", failure: { why: errorText(error), canRetry } });
  if (message.value?.kind === "note") message.value = null;
  if (photos.value[current.value]?.id !== photo.id) return;
  reading.value = false;
  if (canRetry || picked) return;
  // Show the first photo that may be readable instead, or the first of all where none is.
  const next = photos.value.findIndex((one) => one.failure?.canRetry !== false);
  void show(Math.max(next, 0));
}

/** Reads the photos that wait, one at a time, the one shown first. */
async function work(): Promise<void> {
  if (working) return;
  working = true;
  try {
    for (;;) {
      const settings = config.value;
      const waiting = photos.value.filter((photo) => photo.state === "waiting");
      const photo = waiting.find((one) => one.id === photos.value[current.value]?.id) ?? waiting[0];
      if (photo === undefined || settings === null) return;
      await readOne(photo, settings);
    }
  } finally {
    working = false;
  }
}

async function readOne(photo: Photo, settings: PageConfig): Promise<void> {
  const mine = generation;
  change(photo.id, { state: "reading" });
  try {
    const full = await decode(photo);
    const size = { width: full.width, height: full.height };
    const thumbnail = photo.thumbnail ?? (await smaller(full, THUMBNAIL_SIDE));
    change(photo.id, { thumbnail, ...size });
    const read = backend.value === "server" ? await onServer(photo, full, settings) : await inBrowser(photo, full);
    full.close();
    if (mine !== generation) return;
    if (read !== null && read.error !== null) throw new Unreadable(read.error);
    // The user may have drawn a rectangle meanwhile: then it waits again.
    const isWaiting = photos.value.find((one) => one.id === photo.id)?.state === "waiting";
    change(photo.id, { record: read && scaledRecord(read, size), ...(isWaiting ? {} : { state: "done" as const }) });
    const now = photos.value.find((one) => one.id === photo.id);
    if (now !== undefined) present(now);
  } catch (error) {
    if (mine === generation) fail(photo, error);
  }
}

async function decode(photo: Photo): Promise<ImageBitmap> {
  if (photo.file.size === 0) throw new Unreadable("This file is empty.");
  try {
    return await createImageBitmap(photo.file);
  } catch {
    throw new Unreadable("This browser cannot read it as a picture. JPEG, PNG and WebP always work.");
  }
}

/** A copy whose sides are at most `side` pixels. */
async function smaller(full: ImageBitmap, side: number): Promise<ImageBitmap> {
  const scale = Math.min(1, side / Math.max(full.width, full.height));
  if (scale === 1) return createImageBitmap(full);
  const size = { resizeWidth: Math.round(full.width * scale), resizeHeight: Math.round(full.height * scale) };
  return createImageBitmap(full, { ...size, resizeQuality: "high" });
}

/** null where there is no detector and the user has drawn no rectangle yet. */
async function inBrowser(photo: Photo, full: ImageBitmap): Promise<PictureRecord | null> {
  if (!canDetect.value && photo.rectangles.length === 0) return null;
  const reader = await engine();
  const picture = await createImageBitmap(full);
  const boxes = photo.rectangles.length > 0 ? { boxes: [...photo.rectangles] } : {};
  return reader.analyze(picture, { ...boxes, source: photo.name });
}

/** Sends the file as it is if the service takes it, else as a JPEG that it takes. */
async function onServer(photo: Photo, full: ImageBitmap, settings: PageConfig): Promise<PictureRecord> {
  const { file } = photo;
  const isTaken =
    settings.formats.includes(file.type) &&
    file.size <= settings.max_body &&
    full.width * full.height <= settings.max_pixels;
  const sent = isTaken ? file : await asJpeg(full, settings);
  return predict(sent, settings.key_required, (seconds) => {
    showMessage(`The service is busy. It is asked again in ${count(Math.ceil(seconds), "second")}.`, "note");
  });
}

async function asJpeg(full: ImageBitmap, settings: PageConfig): Promise<Blob> {
  const pixels = full.width * full.height;
  let scale = Math.min(1, SENT_SIDE / Math.max(full.width, full.height), Math.sqrt(settings.max_pixels / pixels));
  for (let tries = 0; tries < 4; tries++, scale /= 2) {
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.floor(full.width * scale));
    canvas.height = Math.max(1, Math.floor(full.height * scale));
    canvas.getContext("2d")?.drawImage(full, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
    if (blob !== null && blob.size <= settings.max_body) return blob;
  }
  throw new Unreadable(`This picture cannot be made small enough for the service, which takes ${megabytes(settings.max_body)}.`);
}

/** Photos may be opened before page.json is there. */
effect(() => {
  if (config.value !== null) void work();
});

/** The note that the service is busy is removed when a record is there. */
effect(() => {
  if (record.value !== null && message.peek()?.kind === "note") message.value = null;
});
