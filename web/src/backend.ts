// Which backend reads pictures: the service, or the engine in this browser.

import { ensureKey, noResponse, Problem } from "./api.ts";
import type { Engine } from "./engine/index.ts";
import { putUp, takeDown } from "./notes.ts";
import {
  backend, canDetect, config, drawing, errorText, loading, needsKey, rectangles, wantedBackend, type Backend,
} from "./state.ts";

let loaded: Promise<Engine> | null = null;

/** The engine. It is loaded on first use and needs no network afterwards. Throws what the engine throws. */
export function engine(): Promise<Engine> {
  loaded ??= load().catch((error: unknown) => {
    loaded = null;
    throw error;
  });
  return loaded;
}

/** Returns whether the backend changed. If the engine cannot be loaded, the old backend stays. */
export async function switchBackend(next: Backend): Promise<boolean> {
  wantedBackend.value = next;
  takeDown("engine");
  if (next === "browser") {
    try {
      canDetect.value = (await engine()).canDetect;
    } catch (error) {
      wantedBackend.value = backend.value;
      const reason = error instanceof Problem ? error.message : `Reading in this browser failed: ${errorText(error)}.`;
      putUp("engine", reason);
      return false;
    }
  }
  if (wantedBackend.value !== next || backend.value === next) return false;
  backend.value = next;
  rectangles.value = [];
  drawing.value = next === "browser" && !canDetect.value;
  return true;
}

async function load(): Promise<Engine> {
  const settings = config.value;
  if (settings === null) throw new Error("page.json is not loaded yet");
  const key = needsKey.value ? await ensureKey() : null;
  if (needsKey.value && key === null) throw new Error("the service asks for its key");
  loading.value = 0;
  try {
    const { openEngine } = await import("./engine/index.ts").catch(() => {
      throw noResponse(); // instead of the browser's message, which differs between browsers
    });
    const onProgress = (fraction: number) => {
      loading.value = fraction;
    };
    return await openEngine(settings, { ...(key === null ? {} : { key }), onProgress });
  } finally {
    loading.value = null;
  }
}
