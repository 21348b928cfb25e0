// Mien in the browser: the same model file as in Python and the same predictions. No picture leaves the page.

import type { PageConfig, PictureRecord } from "../record.ts";
import type { AnalyzeOptions } from "./analyzer.ts";
import type { WorkerResponse, Kind, Tasks } from "./messages.ts";
import type { Detection } from "./pixels.ts";

export type { AnalyzeOptions } from "./analyzer.ts";
export { cropFace, cropSquare, FACE_SIZE } from "./crop.ts";
export { toGrey } from "./grey.ts";
export { detail, spans } from "./faceSearch.ts";
export type { Detection, Grey, Point, Rgba } from "./pixels.ts";
export { rounded } from "./output.ts";
export { fitted, scaled } from "./resize.ts";
export { headPose } from "./headPose.ts";
export { faceRoll } from "./headRoll.ts";
export { Smoother } from "./smoothing.ts";
export { Tracker } from "./tracker.ts";
export { turnedUpright } from "./turning.ts";
export { decode, notOverlapping } from "./yunet.ts";

export interface OpenOptions {
  /** The service's key, if it needs one. */
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

  private constructor(onProgress: ((fraction: number) => void) | undefined) {
    this.#onProgress = onProgress;
    this.#worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "mien-engine" });
    this.#worker.onmessage = ({ data }: MessageEvent<WorkerResponse>) => this.#receive(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#end(new Error(`the engine cannot run in this browser${event.message ? `: ${event.message}` : ""}`));
    };
  }

  /** Fetch the engine, the model and, if the service has it, the face detector, and set them up. */
  static async open(config: PageConfig, { key, onProgress }: OpenOptions = {}): Promise<Engine> {
    const { model, detector } = config.engine;
    const absolute = (url: string): string => new URL(url, document.baseURI).href;
    const engine = new Engine(onProgress);
    try {
      const addresses = { model: absolute(model), detector: detector === null ? null : absolute(detector) };
      engine.#canDetect = await engine.#request("open", { config: { ...config, engine: addresses }, key });
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

  /** The record of one picture, its faces in the service's order. The picture is transferred to the worker. */
  analyze(image: ImageBitmap, options: AnalyzeOptions = {}): Promise<PictureRecord> {
    return this.#request("analyze", { image, options }, [image]);
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
