// The package in browsers: the engine in a worker.

import { Engine } from "../../src/engine/engine.ts";
import type { EngineAddresses } from "../../src/engine/messages.ts";
import type { Rgba } from "../../src/engine/pixels.ts";
import type { PageConfig } from "../../src/config.ts";
import type { Analyzer, ImageSource, load as Load } from "./api.ts";
import { analyzeOptions, configured, isPixels, opaque, shipped, siteConfig } from "./settings.ts";

export const load: typeof Load = async (options = {}): Promise<Analyzer> => {
  const [page, files] = await located(options.site);
  const config = configured(page, options);
  // Bundlers look for these words as they stand.
  const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "mien" });
  const engine = await Engine.open(worker, files, config, { onProgress: options.onProgress });
  return {
    model: config.model,
    classes: config.classes,
    analyze: async (image, given = {}) => engine.analyze(await pictureOf(image), analyzeOptions(given)),
    reset: () => engine.reset(),
    close: () => engine.close(),
  };
};

/** The settings, and where the files lie. */
async function located(site: string | URL | undefined): Promise<[PageConfig, EngineAddresses]> {
  const wasm = new URL("./ort-wasm-simd-threaded.wasm", import.meta.url).href;
  if (site === undefined) {
    const model = new URL("./model.onnx", import.meta.url).href;
    const detector = new URL("./yunet.onnx", import.meta.url).href;
    return [shipped, { wasm, model, detector }];
  }
  const here = "document" in globalThis ? document.baseURI : location.href;
  const folder = String(new URL(site, here)).replace(/\/?$/, "/");
  const page = siteConfig(await textOf(`${folder}page.json`), `${folder}page.json`);
  const { model, detector } = page.engine;
  const at = (name: string): string => new URL(name, folder).href;
  return [page, { wasm, model: at(model), detector: detector === null ? null : at(detector) }];
}

async function textOf(address: string): Promise<string> {
  const response = await fetch(address).catch(() => {
    throw new Error(`cannot fetch ${address}: the server does not respond`);
  });
  if (!response.ok) throw new Error(`cannot fetch ${address}: the server responded with ${response.status}`);
  return response.text();
}

async function pictureOf(image: ImageSource): Promise<ImageBitmap | Rgba> {
  // The browser converts pixels of other color spaces.
  const isPlain = !(image instanceof ImageData) || image.colorSpace === "srgb";
  if (isPlain && isPixels(image)) return opaque(image);
  try {
    // Workers have no elements.
    if ("HTMLImageElement" in globalThis && image instanceof HTMLImageElement) await image.decode();
    return await createImageBitmap(image as ImageBitmapSource);
  } catch (error) {
    throw new Error(`cannot read the picture: ${error instanceof Error ? error.message : String(error)}`);
  }
}
