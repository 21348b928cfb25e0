// Reads the camera's frames: at most one at a time, and always the newest.

import { signal } from "@preact/signals";
import { cameras, closeCamera, onFrames, openCamera, type Camera } from "./camera.ts";
import { forgetFaces } from "./linked.ts";
import { TimelineRows } from "./timelineRows.ts";
import { leave } from "./photos.ts";
import { engine } from "./backend.ts";
import { putUp, takeDown } from "./notes.ts";
import type { PictureRecord } from "./record.ts";
import { RecordLog } from "./recordLog.ts";
import { scaledRecord } from "./scaleRecord.ts";
import { ConnectionLost, StreamSocket, type Link } from "./socket.ts";
import {
  backend, canDetect, config, covering, drawing, errorText, marked, needsKey, reading, record, rectangles, shown, tick,
  view,
} from "./state.ts";

/** Of the JPEG that the service gets, 0..1. */
const QUALITY = 0.8;
/** Seconds for which a cover still hides a face that is no longer detected. */
const COVER_HOLD_S = 1;

export interface Pace {
  framesPerS: number;
  latencyMs: number;
}

export const link = signal<Link>("connecting");
export const pace = signal<Pace | null>(null);
export const mirror = signal(true);
export const cameraChoices = signal<readonly { id: string; name: string }[]>([]);
export const chosenCamera = signal("");
export const starting = signal(false);
export const paused = signal(false);
export let timelineRows = new TimelineRows();
export let recordLog = new RecordLog();

let session: Session | null = null;
let attempts = 0;

export const now = (): number => performance.now() / 1000;

/** Starts the camera of that id, or the one that faces the user. A running camera is stopped. */
export async function startCamera(deviceId: string | null = null): Promise<void> {
  if (config.value === null || starting.value) return;
  const attempt = ++attempts;
  starting.value = true;
  takeDown("camera");
  try {
    const again = session !== null;
    end();
    const camera = await openCamera(deviceId);
    if (attempt !== attempts) {
      closeCamera(camera);
      return;
    }
    leave();
    if (!again) {
      timelineRows = new TimelineRows();
      recordLog = new RecordLog();
    }
    mirror.value = !camera.facesAway;
    chosenCamera.value = camera.deviceId;
    session = new Session(camera);
    view.value = "camera";
    drawing.value = backend.value === "browser" && !canDetect.value;
    cameraChoices.value = await cameras();
  } catch (error) {
    if (attempt === attempts) putUp("camera", errorText(error));
    if (view.value === "camera") toStart();
  } finally {
    starting.value = false;
  }
}

export function stopCamera(): void {
  attempts++;
  end();
  toStart();
}

/** Begins a new stream, after the backend changed. */
export function restartStream(): void {
  session?.connect();
}

/** The last frame that was read: it fits the marks, so it is the one to save. */
export function still(): HTMLCanvasElement | null {
  return session?.still ?? null;
}

function toStart(): void {
  if (view.value === "camera") view.value = "start";
}

function end(): void {
  forgetFaces();
  session?.end();
  session = null;
  record.value = null;
  marked.value = [];
  shown.value = null;
  pace.value = null;
  rectangles.value = [];
}

class Session {
  #socket: StreamSocket | null = null;
  #ended = false;
  /** Whether there is a frame that was not sent yet, and whether one is being read. */
  #fresh = false;
  #busy = false;
  /** The frame that is being read, and the one that was read last. */
  #sent = document.createElement("canvas");
  #read = document.createElement("canvas");
  #recordTimes: number[] = [];
  /** Counts the streams: each numbers its tracks anew. */
  #stream = 0;

  constructor(private readonly camera: Camera) {
    this.connect();
    camera.stream.getVideoTracks()[0]?.addEventListener("ended", () => {
      if (this.#ended) return;
      stopCamera();
      putUp("camera", "The camera was disconnected.");
    });
    document.addEventListener("visibilitychange", this.#onVisibility);
    onFrames(camera.video, () => {
      if (this.#ended) return false;
      this.#fresh = true;
      this.#showLive();
      void this.#pump();
      return true;
    });
  }

  get still(): HTMLCanvasElement | null {
    return this.#read.width > 0 ? this.#read : null;
  }

  /** Begins a stream with the chosen backend. */
  connect(): void {
    this.#socket?.close();
    this.#socket = null;
    this.#stream++;
    this.#recordTimes = [];
    record.value = null;
    marked.value = [];
    reading.value = true;
    pace.value = null;
    if (backend.value === "browser") {
      link.value = "open";
      // Without an engine, the first frame says why.
      engine().then((reader) => reader.reset(), () => undefined);
      return;
    }
    this.#socket = new StreamSocket(
      needsKey.value,
      (state) => {
        link.value = state;
        if (state === "open") this.#stream++;
        if (state === "lost") this.#forget();
      },
      (problem) => {
        stopCamera();
        putUp("camera", problem.message);
      },
    );
  }

  end(): void {
    this.#ended = true;
    document.removeEventListener("visibilitychange", this.#onVisibility);
    this.#socket?.close();
    closeCamera(this.camera);
    paused.value = false;
    reading.value = false;
  }

  readonly #onVisibility = (): void => {
    paused.value = document.hidden;
    this.#recordTimes = [];
  };

  /** Without a connection, the last record says nothing about the present picture. */
  #forget(): void {
    pace.value = null;
    this.#recordTimes = [];
    reading.value = true;
    if (covering.value) return; // then the last frame stays, with its covers
    record.value = null;
    marked.value = [];
  }

  /** Where faces are covered, a frame is shown only together with its own record. */
  #showLive(): void {
    const { video } = this.camera;
    if (covering.value || video.videoWidth === 0) return;
    this.#show(video, video.videoWidth, video.videoHeight);
  }

  #show(picture: CanvasImageSource, width: number, height: number): void {
    const before = shown.value;
    if (before?.picture !== picture || before.width !== width || before.height !== height) {
      shown.value = { picture, width, height };
    }
    tick.value++;
  }

  async #pump(): Promise<void> {
    const socket = this.#socket;
    const inBrowser = backend.value === "browser";
    if (inBrowser && this.#isUnmarked()) return;
    if (!this.#fresh || this.#busy || this.#ended || document.hidden || (!inBrowser && !socket?.ready)) return;
    this.#busy = true;
    this.#fresh = false;
    const stream = this.#stream;
    const sentAt = now();
    try {
      const read = await (inBrowser ? this.#readInBrowser(sentAt) : this.#readOnServer(socket!));
      if (!this.#ended && stream === this.#stream) this.#accept(read, sentAt);
    } catch (error) {
      if (!(error instanceof ConnectionLost) && !this.#ended && stream === this.#stream) {
        stopCamera();
        putUp("camera", `${errorText(error)}.`);
      }
    } finally {
      this.#busy = false;
    }
    void this.#pump();
  }

  /** Whether there is no detector and the user has drawn no rectangle. */
  #isUnmarked(): boolean {
    if (canDetect.value || rectangles.value.length > 0) return false;
    record.value = null;
    marked.value = [];
    reading.value = false;
    return true;
  }

  async #readOnServer(socket: StreamSocket): Promise<PictureRecord> {
    this.#grab();
    const frame = await new Promise<Blob | null>((resolve) => this.#sent.toBlob(resolve, "image/jpeg", QUALITY));
    if (frame === null) throw new Error("this browser cannot write a frame as JPEG");
    return socket.predict(frame);
  }

  async #readInBrowser(timeS: number): Promise<PictureRecord> {
    this.#grab();
    const reader = await engine();
    const size = this.#size();
    const scale = this.#sent.width / size.width;
    const boxes = rectangles.value.map(({ x, y, width, height }) => ({
      x: x * scale,
      y: y * scale,
      width: width * scale,
      height: height * scale,
    }));
    const marked = boxes.length > 0 ? { boxes } : {};
    return reader.analyze(await createImageBitmap(this.#sent), { timeS, stream: true, ...marked });
  }

  #size(): { width: number; height: number } {
    return { width: this.camera.video.videoWidth || 1, height: this.camera.video.videoHeight || 1 };
  }

  #grab(): void {
    const { width, height } = this.#size();
    const { stream_side, detect_side } = config.value!;
    // The detector uses no more pixels, but crops of faces may.
    const longest = Math.max(stream_side, detect_side ?? 0);
    const scale = Math.min(1, longest / Math.max(width, height));
    const canvas = this.#sent;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.getContext("2d", { alpha: false })?.drawImage(this.camera.video, 0, 0, canvas.width, canvas.height);
  }

  #accept(read: PictureRecord, sentAt: number): void {
    if (read.error !== null || read.width === null || read.height === null) return;
    [this.#sent, this.#read] = [this.#read, this.#sent];
    const at = now();
    const size = this.#size();
    const faces = scaledRecord(read, size);
    const found = timelineRows.update(faces, this.#stream, at);
    recordLog.add(faces, found.map(({ number }) => number), at);
    const several = found.length > 1;
    const marks = faces.faces.map((face, index) => ({ face, number: several ? found[index]!.number : null }));
    const lost = covering.value ? timelineRows.justLost(at, COVER_HOLD_S) : [];
    const held = lost.map((face) => ({ face, number: null }));
    reading.value = false;
    record.value = faces;
    marked.value = [...marks, ...held];
    if (covering.value) this.#show(this.#read, size.width, size.height);
    this.#measure(at, sentAt);
  }

  #measure(at: number, sentAt: number): void {
    this.#recordTimes = [...this.#recordTimes.filter((time) => at - time < 2), at];
    const first = this.#recordTimes[0]!;
    const latency = 1000 * (at - sentAt);
    const before = pace.peek()?.latencyMs ?? latency;
    if (this.#recordTimes.length < 3) return;
    pace.value = {
      framesPerS: (this.#recordTimes.length - 1) / (at - first),
      latencyMs: 0.9 * before + 0.1 * latency,
    };
  }
}
