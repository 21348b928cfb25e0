// Where pictures are read: the switch between the service and the engine in this browser.

import { Problem, ensureKey, unanswered } from "./api.ts";
import type { Engine } from "./engine/index.ts";
import { config, drawing, finds, loading, place, rectangles, tell, wanted, words, type Place } from "./state.ts";

let opened: Promise<Engine> | null = null;

/** The engine, loaded on first use; from then on it needs no network. Throws what the engine throws. */
export function engine(): Promise<Engine> {
  opened ??= load().catch((error: unknown) => {
    opened = null;
    throw error;
  });
  return opened;
}

/** Returns whether pictures are read there now; where it fails, they are read where they were. */
export async function moveTo(next: Place): Promise<boolean> {
  wanted.value = next;
  if (next === "browser") {
    try {
      finds.value = (await engine()).canDetect;
    } catch (error) {
      wanted.value = place.value;
      tell(error instanceof Problem ? error.message : `Reading in this browser does not work: ${words(error)}.`);
      return false;
    }
  }
  if (wanted.value !== next || place.value === next) return false;
  place.value = next;
  rectangles.value = [];
  drawing.value = next === "browser" && !finds.value;
  return true;
}

async function load(): Promise<Engine> {
  const settings = config.value;
  if (settings === null) throw new Error("the service has not answered yet");
  const key = settings.key_required ? await ensureKey() : null;
  if (settings.key_required && key === null) throw new Error("the service asks for its key");
  loading.value = 0;
  try {
    const { Engine } = await import("./engine/index.ts").catch(() => {
      throw unanswered(); // and browsers have words of their own for that
    });
    const onProgress = (fraction: number) => {
      loading.value = fraction;
    };
    return await Engine.open(settings, { ...(key === null ? {} : { key }), onProgress });
  } finally {
    loading.value = null;
  }
}
