// Sends frames to the service and receives records, over a WebSocket that reconnects by itself.

import { ensureKey, Problem, request } from "./api.ts";
import type { PictureRecord } from "./record.ts";

/** full: the service responds, but takes no more streams. */
export type Link = "connecting" | "open" | "lost" | "full";

const FIRST_DELAY_S = 0.5;
const LONGEST_DELAY_S = 15;
/** The connection is closed if a frame's record takes longer. */
const RESPONSE_TIMEOUT_S = 15;

interface Pending {
  resolve: (record: PictureRecord) => void;
  reject: (error: Error) => void;
  timer: number;
}

/** The connection was lost before the frame's record came; it is being opened again. */
export class ConnectionLost extends Error {}

export class StreamSocket {
  #socket: WebSocket | null = null;
  #pending: Pending | null = null;
  #delay = FIRST_DELAY_S;
  #timer = 0;
  #closed = false;
  /** The number of connections opened: each numbers its tracks anew. */
  opened = 0;

  constructor(
    private readonly needsKey: boolean,
    private readonly onLink: (link: Link) => void,
    /** No reconnection follows: the user gives no key, or the service refuses. */
    private readonly onRefused: (problem: Problem) => void,
  ) {
    void this.#connect();
  }

  /** Whether a frame can be sent: there is a connection, and no record is awaited. */
  get ready(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN && this.#pending === null;
  }

  /** Sends one frame and returns its record. Throws ConnectionLost. */
  predict(frame: Blob): Promise<PictureRecord> {
    const socket = this.#socket;
    if (!this.ready || socket === null) return Promise.reject(new ConnectionLost("no connection"));
    return new Promise((resolve, reject) => {
      const timer = window.setTimeout(() => socket.close(), 1000 * RESPONSE_TIMEOUT_S);
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
      this.onRefused(new Problem(401, "The service reads nothing without its key."));
      return;
    }
    const address = new URL("v1/stream", document.baseURI);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    // A browser's WebSocket cannot send custom headers: the key goes as a subprotocol.
    const socket = new WebSocket(address, key === null ? ["mien.v1"] : ["mien.v1", `mien.key.${base64url(key)}`]);
    this.#socket = socket;
    let wasOpen = false;
    socket.onopen = () => {
      wasOpen = true;
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
    socket.onclose = () => void this.#reconnect(wasOpen);
  }

  async #reconnect(wasOpen: boolean): Promise<void> {
    this.#lose();
    if (this.#closed) return;
    this.onLink("lost");
    if (!wasOpen && !(await this.#canReconnect())) return;
    if (this.#closed) return;
    if (document.hidden) {
      document.addEventListener("visibilitychange", this.#wake);
      return;
    }
    const wait = this.#delay * (0.8 + 0.4 * Math.random()); // so that not all pages reconnect at once
    this.#delay = Math.min(2 * this.#delay, LONGEST_DELAY_S);
    this.#timer = window.setTimeout(() => void this.#connect(), 1000 * wait);
  }

  /** Asks by REST why there is no connection, which a WebSocket does not report. A wrong key is asked for again. */
  async #canReconnect(): Promise<boolean> {
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
    pending.reject(new ConnectionLost("the connection was lost"));
  }
}

function base64url(text: string): string {
  const bytes = String.fromCharCode(...new TextEncoder().encode(text));
  return btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
