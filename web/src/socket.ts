// Frames to the service and records back, over a WebSocket that comes back by itself.

import { Problem, ensureKey, request } from "./api.ts";
import type { PictureRecord } from "./record.ts";

/** full: the service answers, but takes no stream more. */
export type Link = "connecting" | "open" | "lost" | "full";

const FIRST_DELAY_S = 0.5;
const LONGEST_DELAY_S = 15;
/** A frame without an answer for so long means that the way is dead. */
const PATIENCE_S = 15;

interface Pending {
  resolve: (record: PictureRecord) => void;
  reject: (error: Error) => void;
  timer: number;
}

/** The connection was lost with a frame on its way; it is being made anew. */
export class Lost extends Error {}

export class StreamSocket {
  #socket: WebSocket | null = null;
  #pending: Pending | null = null;
  #delay = FIRST_DELAY_S;
  #timer = 0;
  #closed = false;
  /** How many connections were opened: each has tracks of its own. */
  opened = 0;

  constructor(
    private readonly needsKey: boolean,
    private readonly onLink: (link: Link) => void,
    /** It will not come back: the user does not tell the key, or the service refuses. */
    private readonly onRefused: (problem: Problem) => void,
  ) {
    void this.#connect();
  }

  /** Whether a frame can be sent: there is a connection, and no frame is on its way. */
  get ready(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN && this.#pending === null;
  }

  /** One frame's record. Throws Lost. */
  ask(frame: Blob): Promise<PictureRecord> {
    const socket = this.#socket;
    if (!this.ready || socket === null) return Promise.reject(new Lost("no connection"));
    return new Promise((resolve, reject) => {
      const timer = window.setTimeout(() => socket.close(), 1000 * PATIENCE_S);
      this.#pending = { resolve, reject, timer };
      socket.send(frame);
    });
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    document.removeEventListener("visibilitychange", this.#wake);
    this.#socket?.close(1000);
    this.#lose();
  }

  async #connect(): Promise<void> {
    this.onLink("connecting");
    const key = this.needsKey ? await ensureKey() : null;
    if (this.#closed) return;
    if (this.needsKey && key === null) {
      this.onRefused(new Problem(401, "Without its key the service reads nothing."));
      return;
    }
    const address = new URL("v1/stream", document.baseURI);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    // A browser's WebSocket sends no headers of ours: the key goes as a subprotocol.
    const socket = new WebSocket(address, key === null ? ["mien.v1"] : ["mien.v1", `mien.key.${base64url(key)}`]);
    this.#socket = socket;
    let answered = false;
    socket.onopen = () => {
      answered = true;
      this.opened++;
      this.onLink("open");
    };
    socket.onmessage = ({ data }) => {
      const pending = this.#pending;
      if (pending === null) return;
      this.#pending = null;
      this.#delay = FIRST_DELAY_S;
      clearTimeout(pending.timer);
      pending.resolve(JSON.parse(String(data)) as PictureRecord);
    };
    socket.onclose = () => void this.#again(answered);
  }

  async #again(answered: boolean): Promise<void> {
    this.#lose();
    if (this.#closed) return;
    this.onLink("lost");
    if (!answered && !(await this.#mayComeBack())) return;
    if (this.#closed) return;
    if (document.hidden) {
      document.addEventListener("visibilitychange", this.#wake);
      return;
    }
    const wait = this.#delay * (0.8 + 0.4 * Math.random()); // not all pages at once
    this.#delay = Math.min(2 * this.#delay, LONGEST_DELAY_S);
    this.#timer = window.setTimeout(() => void this.#connect(), 1000 * wait);
  }

  /** Asks why there is no connection, which a WebSocket does not tell; a key that does not fit is asked for here. */
  async #mayComeBack(): Promise<boolean> {
    try {
      await request("v1/model", this.needsKey);
    } catch (error) {
      if (error instanceof Problem && [401, 403, 421].includes(error.status)) {
        this.onRefused(error);
        return false;
      }
      return true;
    }
    if (!this.#closed) this.onLink("full");
    return true;
  }

  readonly #wake = (): void => {
    if (document.hidden) return;
    document.removeEventListener("visibilitychange", this.#wake);
    void this.#connect();
  };

  #lose(): void {
    this.#socket = null;
    const pending = this.#pending;
    this.#pending = null;
    if (pending === null) return;
    clearTimeout(pending.timer);
    pending.reject(new Lost("the connection was lost"));
  }
}

function base64url(text: string): string {
  const bytes = String.fromCharCode(...new TextEncoder().encode(text));
  return btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
