// The page's state as signals. The modules beside this one change them; the components in view/ show them.

import { computed, signal } from "@preact/signals";
import type { Covering } from "./covers.ts";
import type { Theme } from "./draw.ts";
import type { EmojiSheet } from "./emoji.ts";
import type { Marked, Pens } from "./layout.ts";
import type { PageConfig } from "./config.ts";
import type { Box, PictureRecord } from "./record.ts";

/** What reads pictures: the service, or the engine in this browser. A site of static files has no service. */
export type Backend = "server" | "browser";

/** The picture under the marks. */
export interface Shown {
  picture: CanvasImageSource;
  /** In pixels of the upright picture, those of records. */
  width: number;
  height: number;
}

export const config = signal<PageConfig | null>(null);
export const emoji = signal<EmojiSheet | null>(null);
export const backend = signal<Backend>("server");
/** The backend that the user chose. It differs from `backend` while the engine is loading. */
export const wantedBackend = signal<Backend>("server");
/** The fraction of the engine's files that is loaded, 0..1; null when it is not loading. */
export const loading = signal<number | null>(null);
/** Whether the engine has a face detector; without one the user draws rectangles. */
export const canDetect = signal(true);

/** Whether requests to the service need its key. */
export const needsKey = computed(() => config.value?.service?.key_required ?? false);

export const view = signal<"start" | "photos" | "camera">("start");
/** Whether faces are covered, and with what. */
export const covering = signal(false);
export const coverWith = signal<Covering>("emoji");
export const theme = computed<Theme>(() => (covering.value ? coverWith.value : "boxes"));

/** The record shown, its faces with their numbers, and the picture under them. */
export const record = signal<PictureRecord | null>(null);
export const marked = signal<readonly Marked[]>([]);
export const shown = signal<Shown | null>(null);
/** Rises when the pixels of the picture shown have changed. */
export const tick = signal(0);
export const reading = signal(false);

/** The rectangles that the user drew, in pixels of the picture; keys move the last one. */
export const rectangles = signal<readonly Box[]>([]);
export const drawing = signal(false);

/** What marks are drawn with, text of this many pixels or more; null until the emoji are loaded. */
export function pensOf(text: number): Pens | null {
  const { colors, max_faces } = config.value ?? { colors: {}, max_faces: null };
  return emoji.value && { emoji: emoji.value, colors, text, mostFaces: max_faces };
}

/** Takes what page.json says. */
export function configure(settings: PageConfig): void {
  if (settings.service === null) {
    backend.value = wantedBackend.value = "browser";
    canDetect.value = settings.engine.detector !== null;
  }
  config.value = settings;
}

export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
