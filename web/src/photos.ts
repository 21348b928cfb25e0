// Photos, one after another: decoded, read here or by the service, and shown.

import { computed, effect, signal } from "@preact/signals";
import { Problem, predict } from "./api.ts";
import { engine } from "./backend.ts";
import type { Marked } from "./layout.ts";
import type { Box, PageConfig, PictureRecord } from "./record.ts";
import { resized } from "./resized.ts";
import {
  config, drawing, finds, marked, message, place, reading, record, rectangles, room, shown, tell, words, type Shown,
} from "./state.ts";
import { count, megabytes } from "./words.ts";

/** Why a photo was not read. */
export interface Failure {
  why: string;
  /** Whether it may be read another time: the file itself is sound. */
  again: boolean;
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

/** Why the photo on show was not read; null where it was, and for the camera's picture. */
export const failure = computed(() => (room.value === "photos" ? photos.value[current.value]?.failure ?? null : null));

const MOST = 30;
/** The longer side of what is shown, and of a picture's copy in the strip. */
const SHOWN_SIDE = 2048;
const THUMBNAIL_SIDE = 128;
const SENT_SIDE = 4096;
/** The service may answer otherwise another time; whatever else it refuses, it refuses for good. */
const PASSING = [0, 401, 408, 429];

/** The file can never be read here. */
class Unreadable extends Error {}

let nextId = 1;
/** Rises when what was begun is of no use any more. */
let round = 0;
let working = false;
/** Whether the user went to a photo: then another is not shown instead. */
let picked = false;

/** Photos instead of those before. */
export function open(files: readonly Blob[]): void {
  if (files.length === 0) return;
  round++;
  message.value = null;
  if (files.length > MOST) tell(`Only the first ${MOST} of ${count(files.length, "picture")} are read.`, "note");
  for (const photo of photos.value) photo.thumbnail?.close();
  photos.value = files.slice(0, MOST).map((file) => ({
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
  room.value = "photos";
  drawing.value = place.value === "browser" && !finds.value;
  picked = false;
  void show(0);
}

/** Shows the photo that the user goes to. */
export function look(index: number): void {
  picked = true;
  message.value = null;
  void show(index);
}

/** Shows one of the photos; one that waits is read next. */
async function show(index: number): Promise<void> {
  const photo = photos.value[index];
  if (photo === undefined) return;
  current.value = index;
  const mine = round;
  clear();
  rectangles.value = photo.rectangles;
  reading.value = photo.state !== "failed" && photo.state !== "done";
  if (photo.failure?.again === false) return;
  try {
    const full = await decode(photo);
    if (mine === round && current.value === index) {
      const size = { width: full.width, height: full.height };
      shown.value = { picture: await smaller(full, SHOWN_SIDE), ...size };
      if (mine === round && current.value === index) present(photos.value[index] ?? photo);
    }
    full.close();
  } catch (error) {
    if (mine !== round) return;
    fail(photo, error);
  }
  void work();
}

/** All of them again: they are to be read elsewhere now. */
export function readAgain(): void {
  round++;
  const anew = { state: "waiting", failure: null, record: null, rectangles: [] } as const;
  for (const photo of photos.value) change(photo.id, anew);
  void show(current.value);
}

/** The photo on show once more, after it failed. */
export function tryAgain(): void {
  const photo = photos.value[current.value];
  if (photo === undefined) return;
  message.value = null;
  change(photo.id, { state: "waiting", failure: null });
  void show(current.value);
}

/** The photo on show with the user's own rectangles. */
export function readRectangles(boxes: readonly Box[]): void {
  const photo = photos.value[current.value];
  if (photo === undefined) return;
  rectangles.value = boxes;
  change(photo.id, { state: "waiting", failure: null, rectangles: boxes });
  void work();
}

export function leave(): void {
  round++;
  clear();
  for (const photo of photos.value) photo.thumbnail?.close();
  photos.value = [];
}

/** The photo on show in all its pixels, as far as a canvas of this browser holds them. */
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
  const passing = error instanceof Problem ? error.status >= 500 || PASSING.includes(error.status) : true;
  const again = passing && !(error instanceof Unreadable);
  change(photo.id, { state: "failed", failure: { why: words(error), again } });
  if (message.value?.kind === "note") message.value = null;
  if (photos.value[current.value]?.id !== photo.id) return;
  reading.value = false;
  if (again || picked) return;
  // The first that may be readable instead; the first of all where none is.
  const next = photos.value.findIndex((one) => one.failure?.again !== false);
  void show(Math.max(next, 0));
}

/** Reads what waits, one at a time, the photo on show first. */
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
  const mine = round;
  change(photo.id, { state: "reading" });
  try {
    const full = await decode(photo);
    const size = { width: full.width, height: full.height };
    const thumbnail = photo.thumbnail ?? (await smaller(full, THUMBNAIL_SIDE));
    change(photo.id, { thumbnail, ...size });
    const read = place.value === "server" ? await onServer(photo, full, settings) : await here(photo, full);
    full.close();
    if (mine !== round) return;
    if (read !== null && read.error !== null) throw new Unreadable(read.error);
    // Rectangles may have been drawn meanwhile: then it waits again.
    const again = photos.value.find((one) => one.id === photo.id)?.state === "waiting";
    change(photo.id, { record: read && resized(read, size), ...(again ? {} : { state: "done" as const }) });
    const now = photos.value.find((one) => one.id === photo.id);
    if (now !== undefined) present(now);
  } catch (error) {
    if (mine === round) fail(photo, error);
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

/** A copy of which no side is longer. */
async function smaller(full: ImageBitmap, side: number): Promise<ImageBitmap> {
  const scale = Math.min(1, side / Math.max(full.width, full.height));
  if (scale === 1) return createImageBitmap(full);
  const size = { resizeWidth: Math.round(full.width * scale), resizeHeight: Math.round(full.height * scale) };
  return createImageBitmap(full, { ...size, resizeQuality: "high" });
}

/** null where no face is found by itself, and none is marked yet. */
async function here(photo: Photo, full: ImageBitmap): Promise<PictureRecord | null> {
  if (!finds.value && photo.rectangles.length === 0) return null;
  const reader = await engine();
  const picture = await createImageBitmap(full);
  const boxes = photo.rectangles.length > 0 ? { boxes: [...photo.rectangles] } : {};
  return reader.analyze(picture, { ...boxes, source: photo.name });
}

/** The file as it is where the service takes that, else as a JPEG that it takes. */
async function onServer(photo: Photo, full: ImageBitmap, settings: PageConfig): Promise<PictureRecord> {
  const { file } = photo;
  const asItIs =
    settings.formats.includes(file.type) &&
    file.size <= settings.max_body &&
    full.width * full.height <= settings.max_pixels;
  const sent = asItIs ? file : await asJpeg(full, settings);
  return predict(sent, settings.key_required, (seconds) => {
    tell(`The service is busy. It is asked again in ${count(Math.ceil(seconds), "second")}.`, "note");
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

/** Photos may have been opened before the service had told what it is. */
effect(() => {
  if (config.value !== null) void work();
});

/** The note that the service is busy goes when an answer is there. */
effect(() => {
  if (record.value !== null && message.peek()?.kind === "note") message.value = null;
});
