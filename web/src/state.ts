// What the page shows, as signals; the modules beside this one change them, the components in view/ show them.

import { signal } from "@preact/signals";
import type { Theme } from "./draw.ts";
import type { EmojiSheet } from "./emoji.ts";
import type { Marked } from "./layout.ts";
import type { Box, PageConfig, PictureRecord } from "./record.ts";

/** Where pictures are read: on the service's host, or here. */
export type Place = "server" | "browser";

export interface Message {
  kind: "error" | "note";
  text: string;
}

/** What lies under the marks. */
export interface Shown {
  picture: CanvasImageSource;
  /** In pixels of the upright picture, those of records. */
  width: number;
  height: number;
}

export const config = signal<PageConfig | null>(null);
export const emoji = signal<EmojiSheet | null>(null);
export const place = signal<Place>("server");
/** Where they are to be read as soon as what that takes is loaded. */
export const wanted = signal<Place>("server");
/** Of what the browser must load to read pictures itself, 0..1; null when it is not loading. */
export const loading = signal<number | null>(null);
/** Whether faces are found in the browser too; without a detector the user draws rectangles. */
export const finds = signal(true);

export const room = signal<"start" | "photos" | "camera">("start");
export const theme = signal<Theme>("boxes");
export const message = signal<Message | null>(null);

/** The record on show, its faces as they are numbered, and the picture under them. */
export const record = signal<PictureRecord | null>(null);
export const marked = signal<readonly Marked[]>([]);
export const shown = signal<Shown | null>(null);
/** Rises when the pixels of the picture on show have changed. */
export const tick = signal(0);
export const reading = signal(false);

/** The user's own rectangles in pixels of the picture; the last is the one that keys move. */
export const rectangles = signal<readonly Box[]>([]);
export const drawing = signal(false);

export function tell(text: string, kind: Message["kind"] = "error"): void {
  message.value = { kind, text };
}

export function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
