// The package in Node.js: the engine in the thread that loads it.

import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import type { PageConfig } from "../../src/config.ts";
import { setUp } from "../../src/engine/setup.ts";
import type { Analyzer, ImageSource, load as Load } from "./api.ts";
import { analyzeOptions, configured, isPixels, opaque, shipped, siteConfig } from "./settings.ts";

export const load: typeof Load = async (options = {}): Promise<Analyzer> => {
  const { page, model, detector } = await located(options.site);
  const config = configured(page, options);
  const wasm = await content(new URL("./ort-wasm-simd-threaded.wasm", import.meta.url));
  const networks = { model: await content(model), detector: detector && (await content(detector)) };
  const analyzer = await setUp({ wasm: wasm.buffer, ...networks }, config);
  options.onProgress?.(1);
  let last: Promise<unknown> = Promise.resolve();
  let isClosed = false;
  return {
    model: config.model,
    classes: config.classes,
    analyze(image, given = {}) {
      const result = last.then(() => {
        if (isClosed) throw new Error("the engine was closed");
        return analyzer.analyze(pixelsOf(image), analyzeOptions(given));
      });
      last = result.catch(() => undefined);
      return result;
    },
    reset() {
      last = last.then(() => analyzer.reset());
    },
    close() {
      isClosed = true;
    },
  };
};

/** The settings, and where the networks lie. */
async function located(site: string | URL | undefined): Promise<{ page: PageConfig; model: URL; detector: URL | null }> {
  if (site === undefined) {
    const [model, detector] = ["./model.onnx", "./yunet.onnx"].map((name) => new URL(name, import.meta.url));
    return { page: shipped, model: model!, detector: detector! };
  }
  const isUrl = site instanceof URL || site.startsWith("file:");
  const folder = (isUrl ? String(site) : pathToFileURL(site).href).replace(/\/?$/, "/");
  const at = new URL("page.json", folder);
  const page = siteConfig(new TextDecoder().decode(await content(at)), at.href);
  const { model, detector } = page.engine;
  return { page, model: new URL(model, folder), detector: detector === null ? null : new URL(detector, folder) };
}

async function content(file: URL): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return new Uint8Array(await readFile(file));
  } catch (error) {
    throw new Error(`cannot read ${file.href}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function pixelsOf(image: ImageSource): ReturnType<typeof opaque> {
  if (!isPixels(image)) throw new TypeError("expected { data, width, height } with data of RGBA bytes");
  return opaque(image);
}
