// What in the faces of the photo shown spoke for their emotion, as the service draws it.

import { signal } from "@preact/signals";
import { decode } from "./decode.ts";
import { current, photos } from "./photos.ts";
import { explainedOnServer } from "./read.ts";
import { config, errorText } from "./state.ts";

interface Explanation {
  /** The class that was asked about; null: each face's likeliest. */
  emotion: string | null;
  /** The address of the picture; null as long as there is none. */
  picture: string | null;
  /** Why there is none. */
  why: string | null;
}

/** Set while the dialog is open. */
export const explanation = signal<Explanation | null>(null);
let job: AbortController | null = null;

/** Opens the dialog, or asks about another class in it. */
export async function explain(emotion: string | null): Promise<void> {
  stop();
  const { signal } = (job = new AbortController());
  explanation.value = { emotion, picture: null, why: null };
  try {
    const picture = URL.createObjectURL(await drawn(emotion, signal));
    if (signal.aborted) URL.revokeObjectURL(picture);
    else explanation.value = { emotion, picture, why: null };
  } catch (error) {
    if (!signal.aborted) explanation.value = { emotion, picture: null, why: errorText(error) };
  }
}

export function closeExplanation(): void {
  stop();
  explanation.value = null;
}

function stop(): void {
  job?.abort();
  const address = explanation.value?.picture ?? null;
  if (address !== null) URL.revokeObjectURL(address);
}

async function drawn(emotion: string | null, signal: AbortSignal): Promise<Blob> {
  const [photo, settings] = [photos.value[current.value], config.value];
  if (photo === undefined || settings === null || settings.service === null) throw new Error("there is no photo or service");
  const full = await decode(photo.file);
  try {
    return await explainedOnServer(photo.file, full, settings, settings.service, signal, emotion);
  } finally {
    full.close();
  }
}
