// The engine in a worker, so that pages stay responsive.

import type { PictureRecord } from "../record.ts";
import type { AnalyzeOptions } from "./analyzer.ts";
import type { EngineConfig } from "./config.ts";
import type { EngineAddresses, Kind, Tasks, WorkerResponse } from "./messages.ts";
import type { Detection, Rgba } from "./pixels.ts";

export interface OpenOptions {
  /** The key with which the server guards its networks, if it does. */
  key?: string | undefined;
  /** Called with the fraction of all files that is downloaded, 0..1. */
  onProgress?: ((fraction: number) => void) | undefined;
}

interface PendingRequest {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** The engine, which needs no network once it is open. Its errors are an Error whose message is one line. */
export class Engine {
  readonly #worker: Worker;
  readonly #pending = new Map<number, PendingRequest>();
  readonly #onProgress: ((fraction: number) => void) | undefined;
  #lastId = 0;
  #canDetect = false;
  /** Why it no longer works. */
  #ended: Error | null = null;

  private constructor(worker: Worker, onProgress: ((fraction: number) => void) | undefined) {
    this.#onProgress = onProgress;
    this.#worker = worker;
    this.#worker.onmessage = ({ data }: MessageEvent<WorkerResponse>) => this.#receive(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#end(new Error(`the engine cannot run in this browser${event.message ? `: ${event.message}` : ""}`));
    };
  }

  /** Fetch all files and set them up. worker runs worker.ts, and belongs to the engine from then on. */
  static async open(
    worker: Worker,
    files: EngineAddresses,
    config: EngineConfig,
    { key, onProgress }: OpenOptions = {},
  ): Promise<Engine> {
    const engine = new Engine(worker, onProgress);
    try {
      engine.#canDetect = await engine.#request("open", { config, files, key });
    } catch (error) {
      engine.close();
      throw error;
    }
    return engine;
  }

  /** Whether there is a face detector; without one the user marks the faces. */
  get canDetect(): boolean {
    return this.#canDetect;
  }

  /** The record of one picture, its faces in Python's order. An ImageBitmap is transferred to the worker. */
  analyze(image: ImageBitmap | Rgba, options: AnalyzeOptions = {}): Promise<PictureRecord> {
    return this.#request("analyze", { image, options }, image instanceof ImageBitmap ? [image] : []);
  }

  /**
   * All detections in a picture, of any size and score, by falling score; stream: as in AnalyzeOptions. The picture is
   * transferred to the worker.
   */
  detect(image: ImageBitmap, stream = false): Promise<Detection[]> {
    return this.#request("detect", { image, stream }, [image]);
  }

  /** Probabilities (N, classes), row by row, of faces (N, 48, 48), grey 0..255. */
  classify(faces: Uint8Array): Promise<Float32Array> {
    return this.#request("classify", { faces });
  }

  /** Forget the stream: the next frame begins another one. */
  reset(): void {
    this.#request("reset", {}).catch(() => undefined);
  }

  /** Stop, and free the memory. Pending requests are rejected. */
  close(): void {
    this.#end(new Error("the engine was closed"));
  }

  #request<K extends Kind>(
    kind: K,
    content: Tasks[K]["request"],
    transfer: Transferable[] = [],
  ): Promise<Tasks[K]["response"]> {
    if (this.#ended !== null) return Promise.reject(this.#ended);
    const id = (this.#lastId += 1);
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve: resolve as PendingRequest["resolve"], reject });
      try {
        this.#worker.postMessage({ id, kind, ...content }, transfer);
      } catch {
        this.#pending.delete(id);
        reject(new Error("this picture was transferred already"));
      }
    });
  }

  #receive(response: WorkerResponse): void {
    if ("progress" in response) {
      this.#onProgress?.(response.progress);
      return;
    }
    const pending = this.#pending.get(response.id);
    this.#pending.delete(response.id);
    if ("error" in response) pending?.reject(new Error(response.error));
    else pending?.resolve(response.value);
  }

  #end(reason: Error): void {
    this.#ended ??= reason;
    this.#worker.terminate();
    for (const pending of this.#pending.values()) pending.reject(this.#ended);
    this.#pending.clear();
  }
}
