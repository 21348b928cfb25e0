// Mien in the browser: the answers of the Python package, from the same model file, and no picture leaves the page.

import type { PageConfig, PictureRecord } from "../record.ts";
import type { AnalyzeOptions } from "./analyzer.ts";
import type { Answer, Kind, Tasks } from "./messages.ts";
import type { Detection } from "./pixels.ts";

export type { AnalyzeOptions } from "./analyzer.ts";
export { cropFace, cropSquare, FACE_SIZE } from "./crop.ts";
export { toGrey } from "./grey.ts";
export type { Detection, Grey, Point, Rgba } from "./pixels.ts";
export { rounded } from "./output.ts";
export { fitted } from "./resize.ts";
export { faceRoll } from "./roll.ts";
export { Smoother } from "./smoothing.ts";
export { Tracks } from "./tracks.ts";
export { decode, suppressed } from "./yunet.ts";

export interface OpenOptions {
  /** The service's key, where it asks for one. */
  key?: string | undefined;
  /** Is told how much of what must be fetched has come, 0..1. */
  onProgress?: ((fraction: number) => void) | undefined;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** The engine, ready to work without a network. What fails is told by an Error whose message is one line. */
export class Engine {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  readonly #onProgress: ((fraction: number) => void) | undefined;
  #asked = 0;
  #canDetect = false;
  /** Why it works no more. */
  #ended: Error | null = null;

  private constructor(onProgress: ((fraction: number) => void) | undefined) {
    this.#onProgress = onProgress;
    this.#worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "mien-engine" });
    this.#worker.onmessage = ({ data }: MessageEvent<Answer>) => this.#hear(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#end(new Error(`the engine cannot run in this browser${event.message ? `: ${event.message}` : ""}`));
    };
  }

  /** Fetch the engine, the model and, where the service has it, the face detector, and set them up. */
  static async open(config: PageConfig, { key, onProgress }: OpenOptions = {}): Promise<Engine> {
    const { model, detector } = config.engine;
    const absolute = (url: string): string => new URL(url, document.baseURI).href;
    const engine = new Engine(onProgress);
    try {
      const addresses = { model: absolute(model), detector: detector === null ? null : absolute(detector) };
      engine.#canDetect = await engine.#ask("open", { config: { ...config, engine: addresses }, key });
    } catch (error) {
      engine.close();
      throw error;
    }
    return engine;
  }

  /** Whether faces are found by themselves; else the user marks them. */
  get canDetect(): boolean {
    return this.#canDetect;
  }

  /** The faces of one picture, from left to right. The picture is given up: its pixels go to the worker. */
  analyze(image: ImageBitmap, options: AnalyzeOptions = {}): Promise<PictureRecord> {
    return this.#ask("analyze", { image, options }, [image]);
  }

  /** Every find of the face detector's in a picture, which is given up, however small and unsure; the surest first. */
  detect(image: ImageBitmap): Promise<Detection[]> {
    return this.#ask("detect", { image }, [image]);
  }

  /** Probabilities (N, classes), row by row, of faces (N, 48, 48), grey 0..255. */
  classify(faces: Uint8Array): Promise<Float32Array> {
    return this.#ask("classify", { faces });
  }

  /** Forget the stream: the next frame begins another one. */
  reset(): void {
    this.#ask("reset", {}).catch(() => undefined);
  }

  /** Stop, and free the memory. What is not answered yet is rejected. */
  close(): void {
    this.#end(new Error("the engine was closed"));
  }

  #ask<K extends Kind>(kind: K, asks: Tasks[K]["asks"], transfer: Transferable[] = []): Promise<Tasks[K]["answers"]> {
    if (this.#ended !== null) return Promise.reject(this.#ended);
    const id = (this.#asked += 1);
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as Waiting["resolve"], reject });
      try {
        this.#worker.postMessage({ id, kind, ...asks }, transfer);
      } catch {
        this.#waiting.delete(id);
        reject(new Error("this picture was given up already"));
      }
    });
  }

  #hear(answer: Answer): void {
    if ("progress" in answer) {
      this.#onProgress?.(answer.progress);
      return;
    }
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if ("error" in answer) waiting?.reject(new Error(answer.error));
    else waiting?.resolve(answer.value);
  }

  #end(reason: Error): void {
    this.#ended ??= reason;
    this.#worker.terminate();
    for (const waiting of this.#waiting.values()) waiting.reject(this.#ended);
    this.#waiting.clear();
  }
}
