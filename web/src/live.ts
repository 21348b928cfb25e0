// The camera's frames, read as they come: at most one on its way, and always the newest.

import { signal } from "@preact/signals";
import { cameras, closeCamera, onFrames, openCamera, type Camera } from "./camera.ts";
import { TimelineRows } from "./timelineRows.ts";
import { leave } from "./photos.ts";
import { engine } from "./backend.ts";
import type { PictureRecord } from "./record.ts";
import { resized } from "./resized.ts";
import { Lost, StreamSocket, type Link } from "./socket.ts";
import {
  config, drawing, finds, marked, message, place, reading, record, rectangles, room, shown, tell, theme, tick, words,
} from "./state.ts";

/** The longer side of what is read, and the quality of its JPEG. */
const LONGEST = 960;
const QUALITY = 0.8;
/** So long an emoji stays over a face that is not found any more. */
const HELD_S = 1;

export interface Pace {
  framesPerS: number;
  latencyMs: number;
}

export const link = signal<Link>("connecting");
export const pace = signal<Pace | null>(null);
export const mirror = signal(true);
export const choice = signal<readonly { id: string; name: string }[]>([]);
export const chosen = signal("");
export const starting = signal(false);
export const paused = signal(false);
export let timelineRows = new TimelineRows();

let session: Session | null = null;
let attempts = 0;

export const now = (): number => performance.now() / 1000;

/** Starts the camera, this one or the user's own choice; one that runs is let go. */
export async function startCamera(deviceId: string | null = null): Promise<void> {
  const settings = config.value;
  if (settings === null || starting.value) return;
  const attempt = ++attempts;
  starting.value = true;
  message.value = null;
  try {
    const again = session !== null;
    end();
    const camera = await openCamera(deviceId);
    if (attempt !== attempts) {
      closeCamera(camera);
      return;
    }
    leave();
    if (!again) timelineRows = new TimelineRows();
    mirror.value = !camera.away;
    chosen.value = camera.deviceId;
    session = new Session(camera, settings.key_required);
    room.value = "camera";
    drawing.value = place.value === "browser" && !finds.value;
    choice.value = await cameras();
  } catch (error) {
    if (attempt === attempts) tell(words(error));
    if (room.value === "camera") toStart();
  } finally {
    starting.value = false;
  }
}

export function stopCamera(): void {
  attempts++;
  end();
  toStart();
}

/** The frames are to be read elsewhere now. */
export function readElsewhere(): void {
  const settings = config.value;
  if (session === null || settings === null) return;
  session.connect(settings.key_required);
}

/** The frame on show with its marks: what is saved. */
export function still(): CanvasImageSource | null {
  return session?.still ?? null;
}

function toStart(): void {
  if (room.value === "camera") room.value = "start";
}

function end(): void {
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
  /** Whether a frame has come that was not sent yet, and whether one is on its way. */
  #fresh = false;
  #busy = false;
  /** Of the frame that is on its way, and of the one that was answered last. */
  #sent = document.createElement("canvas");
  #answered = document.createElement("canvas");
  #answers: number[] = [];
  /** Counts the streams: each begins its tracks anew. */
  #stream = 0;

  constructor(
    private readonly camera: Camera,
    needsKey: boolean,
  ) {
    this.connect(needsKey);
    camera.stream.getVideoTracks()[0]?.addEventListener("ended", () => {
      if (this.#ended) return;
      stopCamera();
      tell("The camera was taken away.");
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

  get still(): CanvasImageSource | null {
    return this.#answered.width > 0 ? this.#answered : null;
  }

  /** To the service or to the engine, as the page is set. */
  connect(needsKey: boolean): void {
    this.#socket?.close();
    this.#socket = null;
    this.#stream++;
    this.#answers = [];
    record.value = null;
    marked.value = [];
    reading.value = true;
    pace.value = null;
    if (place.value === "browser") {
      link.value = "open";
      void engine().then((reader) => reader.reset());
      return;
    }
    this.#socket = new StreamSocket(
      needsKey,
      (state) => {
        link.value = state;
        if (state === "open") this.#stream++;
        if (state === "lost") this.#forget();
      },
      (problem) => {
        stopCamera();
        tell(problem.message);
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
    this.#answers = [];
  };

  /** Without a connection, what was read last says nothing of what is seen now. */
  #forget(): void {
    pace.value = null;
    this.#answers = [];
    reading.value = true;
    if (theme.value === "emoji") return; // there the last frame stays, with its emoji
    record.value = null;
    marked.value = [];
  }

  /** Where emoji hide the faces, a frame is shown only together with its answer. */
  #showLive(): void {
    const { video } = this.camera;
    if (theme.value === "emoji" || video.videoWidth === 0) return;
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
    const here = place.value === "browser";
    if (here && this.#unmarked()) return;
    if (!this.#fresh || this.#busy || this.#ended || document.hidden || (!here && !socket?.ready)) return;
    this.#busy = true;
    this.#fresh = false;
    const stream = this.#stream;
    const sentAt = now();
    try {
      const read = await (here ? this.#readHere(sentAt) : this.#ask(socket!));
      if (!this.#ended && stream === this.#stream) this.#accept(read, sentAt);
    } catch (error) {
      if (!(error instanceof Lost) && !this.#ended && stream === this.#stream) {
        stopCamera();
        tell(`${words(error)}.`);
      }
    } finally {
      this.#busy = false;
    }
    void this.#pump();
  }

  /** Whether no face is found by itself, and none is marked. */
  #unmarked(): boolean {
    if (finds.value || rectangles.value.length > 0) return false;
    record.value = null;
    marked.value = [];
    reading.value = false;
    return true;
  }

  async #ask(socket: StreamSocket): Promise<PictureRecord> {
    this.#grab();
    const frame = await new Promise<Blob | null>((resolve) => this.#sent.toBlob(resolve, "image/jpeg", QUALITY));
    if (frame === null) throw new Error("this browser cannot write a frame as JPEG");
    return socket.ask(frame);
  }

  async #readHere(timeS: number): Promise<PictureRecord> {
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
    const own = boxes.length > 0 ? { boxes } : {};
    return reader.analyze(await createImageBitmap(this.#sent), { timeS, stream: true, ...own });
  }

  #size(): { width: number; height: number } {
    return { width: this.camera.video.videoWidth || 1, height: this.camera.video.videoHeight || 1 };
  }

  #grab(): void {
    const { width, height } = this.#size();
    const scale = Math.min(1, LONGEST / Math.max(width, height));
    const canvas = this.#sent;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.getContext("2d", { alpha: false })?.drawImage(this.camera.video, 0, 0, canvas.width, canvas.height);
  }

  #accept(read: PictureRecord, sentAt: number): void {
    if (read.error !== null || read.width === null || read.height === null) return;
    [this.#sent, this.#answered] = [this.#answered, this.#sent];
    const at = now();
    const size = this.#size();
    const faces = resized(read, size);
    const found = timelineRows.update(faces, this.#stream, at);
    const several = found.length > 1;
    const marks = faces.faces.map((face, index) => ({ face, number: several ? found[index]!.number : null }));
    const held = theme.value === "emoji" ? timelineRows.justLost(at, HELD_S).map((face) => ({ face, number: null })) : [];
    reading.value = false;
    record.value = faces;
    marked.value = [...marks, ...held];
    if (theme.value === "emoji") this.#show(this.#answered, size.width, size.height);
    this.#measure(at, sentAt);
  }

  #measure(at: number, sentAt: number): void {
    this.#answers = [...this.#answers.filter((time) => at - time < 2), at];
    const first = this.#answers[0]!;
    const latency = 1000 * (at - sentAt);
    const before = pace.peek()?.latencyMs ?? latency;
    if (this.#answers.length < 3) return;
    pace.value = {
      framesPerS: (this.#answers.length - 1) / (at - first),
      latencyMs: 0.9 * before + 0.1 * latency,
    };
  }
}
