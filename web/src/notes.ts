// Notes over the page's upper edge. Each has an owner: who puts a note up takes it down. Nobody else does but the user.

import { signal } from "@preact/signals";

/** What a note is about: the service's first response, opened files, a busy service, and so on. */
export type Owner = "service" | "files" | "busy" | "engine" | "camera" | "saving";

export interface Note {
  owner: Owner;
  kind: "error" | "note";
  text: string;
  /** What the text counts, one by one. */
  items: readonly string[];
}

/** One of each owner at most, the newest last. */
export const notes = signal<readonly Note[]>([]);

/** Puts a note up in place of its owner's last one. */
export function putUp(owner: Owner, text: string, kind: Note["kind"] = "error", items: readonly string[] = []): void {
  notes.value = [...without(owner), { owner, kind, text, items }];
}

export function takeDown(owner: Owner): void {
  if (notes.peek().some((note) => note.owner === owner)) notes.value = without(owner);
}

function without(owner: Owner): Note[] {
  return notes.peek().filter((note) => note.owner !== owner);
}
