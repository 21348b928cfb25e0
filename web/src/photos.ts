// Photos, one after another: decoded, read by the service or in the browser, and shown.

import { computed, effect, signal } from "@preact/signals";
import { Problem } from "./api.ts";
import { decode, smaller, Unreadable } from "./decode.ts";
import type { PassedOver, Sorted } from "./files.ts";
import type { Marked } from "./layout.ts";
import { forgetFaces, goToPicture } from "./linked.ts";
import { takeDown } from "./notes.ts";
import { inBrowser, onServer } from "./read.ts";
import type { PageConfig } from "./config.ts";
import type { Box, PictureRecord } from "./record.ts";
import { scaledRecord } from "./scaleRecord.ts";
import {
  backend, canDetect, config, drawing, errorText, marked, reading, record, rectangles, shown, view, type Shown,
} from "./state.ts";

/** Why a photo was not read. */
export interface Failure {
  why: string;
  /** Whether another try can succeed: the file itself is readable. */
  canRetry: boolean;
}

export interface Photo {
  id: number;
  name: string;
  file: File;
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
/** Files that were opened with the photos and are not read. */
export const passedOver = signal<readonly PassedOver[]>([]);

/** Why the photo shown was not read; null where it was read, and for the camera's picture. */
export const failure = computed(() => (view.value === "photos" ? photos.value[current.value]?.failure ?? null : null));

/** The photos that another try may read. */
export const retryable = computed(() => photos.value.filter((photo) => photo.failure?.canRetry));
/** Whether a photo waits or is being read. */
export const unfinished = computed(() => photos.value.some(isUnfinished));

/** The longer sides, in pixels, of the picture shown, of its copy in the strip, and of what is saved. */
const SHOWN_SIDE = 2048;
const THUMBNAIL_SIDE = 128;
const SAVED_SIDE = 4096;
/** Statuses below 500 after which another try can succeed; 0 is no response at all. */
const RETRYABLE = [0, 401, 408, 429];

let nextId = 1;
/** Rises when the photos are replaced or read again: pictures of an earlier generation are not shown. */
let generation = 0;
let working = false;
/** Ends the reading of a photo. */
let job: AbortController | null = null;
/** Whether the user chose the photo shown: then no other one is shown instead. */
let picked = false;

/** Replaces the photos. */
export function open(files: Sorted): void {
  stop();
  for (const photo of photos.value) photo.thumbnail?.close();
  passedOver.value = files.passedOver;
  photos.value = files.pictures.map((file) => ({
    id: nextId++,
    name: file.name || "picture",
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
  scrollTo({ top: 0 });
  void show(0);
}

/** Shows the photo that the user chose. */
export function goTo(index: number): void {
  picked = true;
  goToPicture();
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
  if (photo.failure?.canRetry === false) {
    void work();
    return;
  }
  try {
    const full = await decode(photo.file);
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
  stop();
  const initial = { state: "waiting", failure: null, record: null, rectangles: [] } as const;
  for (const photo of photos.value) change(photo.id, initial);
  void show(current.value);
}

/** Reads all photos once more that failed and that another try may read. */
export function tryAgain(): void {
  for (const photo of retryable.value) change(photo.id, { state: "waiting", failure: null });
  void show(current.value);
}

/** Ends the reading of the photos that are not read yet. */
export function cancel(): void {
  job?.abort();
  const failure = { why: "You canceled it before it was read.", canRetry: true };
  for (const photo of photos.value.filter(isUnfinished)) change(photo.id, { state: "failed", failure });
  const photo = photos.value[current.value];
  if (photo !== undefined) present(photo);
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
  stop();
  clear();
  for (const photo of photos.value) photo.thumbnail?.close();
  photos.value = [];
  passedOver.value = [];
  takeDown("files");
}

/** What is being read belongs to photos that are gone, or is read anew. */
function stop(): void {
  generation++;
  job?.abort();
}

function isUnfinished(photo: Photo): boolean {
  return photo.state === "waiting" || photo.state === "reading";
}

/** The records of all photos that were read or could not be read, in their order. */
export function records(): PictureRecord[] {
  const model = config.value?.model ?? "";
  const unread = (source: string, error: string): PictureRecord => {
    return { schema: 1, model, source, frame: null, time_s: null, width: null, height: null, faces: [], error };
  };
  return photos.value.flatMap(({ name, record, failure }) => {
    if (failure !== null) return [unread(name, failure.why)];
    return record === null ? [] : [record];
  });
}

/** The photo shown in full size, limited to what a canvas holds in every browser. */
export async function fullSize(): Promise<{ picture: ImageBitmap; shown: Shown; name: string } | null> {
  const photo = photos.value[current.value];
  if (photo === undefined || shown.value === null) return null;
  const full = await decode(photo.file);
  const picture = await smaller(full, SAVED_SIDE);
  return { picture, shown: { picture, width: full.width, height: full.height }, name: photo.name };
}

function clear(): void {
  forgetFaces();
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
  reading.value = isUnfinished(photo);
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
  const { signal } = (job = new AbortController());
  change(photo.id, { state: "reading" });
  let full: ImageBitmap | null = null;
  try {
    full = await decode(photo.file);
    const size = { width: full.width, height: full.height };
    const thumbnail = photo.thumbnail ?? (await smaller(full, THUMBNAIL_SIDE));
    change(photo.id, { thumbnail, ...size });
    const read =
      backend.value === "server" && settings.service !== null
        ? await onServer(photo.file, full, settings, settings.service, signal)
        : await inBrowser(full, photo.rectangles);
    if (signal.aborted) return;
    if (read !== null && read.error !== null) throw new Unreadable(read.error);
    // The user may have drawn a rectangle meanwhile: then it waits again.
    const isWaiting = photos.value.find((one) => one.id === photo.id)?.state === "waiting";
    const named = read && { ...scaledRecord(read, size), source: photo.name };
    change(photo.id, { record: named, ...(isWaiting ? {} : { state: "done" as const }) });
    const now = photos.value.find((one) => one.id === photo.id);
    if (now !== undefined) present(now);
  } catch (error) {
    if (!signal.aborted) fail(photo, error);
  } finally {
    full?.close();
  }
}

/** Photos may be opened before page.json is there. */
effect(() => {
  if (config.value !== null) void work();
});
