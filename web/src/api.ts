// Requests to the service by REST: its key, its errors (RFC 9457) and its records.

import { signal } from "@preact/signals";
import type { PageConfig } from "./config.ts";
import { uploader } from "./upload.ts";

/** Why a request failed, as a text for users. status is 0 where there was no response. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    detail: string,
    /** Seconds to wait before the next try, where the service names them. */
    readonly retryAfter: number | null = null,
  ) {
    super(detail);
  }
}

const KEY_ITEM = "mien.key";
/** Stored for this tab only. */
let key: string | null = sessionStorage.getItem(KEY_ITEM);

interface KeyRequest {
  /** Whether the service refused an earlier key. */
  refused: boolean;
  /** Takes the key, or null if the user gives none. */
  resolve: (key: string | null) => void;
}

/** Set while the page asks the user for the key. */
export const keyRequest = signal<KeyRequest | null>(null);
let pendingKey: Promise<string | null> | null = null;

/** The key; the user is asked if there is none. null if the user gives none. refused: the key that was wrong. */
export async function ensureKey(refused: string | null = null): Promise<string | null> {
  if (refused !== null && refused === key) {
    key = null;
    sessionStorage.removeItem(KEY_ITEM);
  }
  if (key !== null) return key;
  pendingKey ??= new Promise((resolve) => {
    keyRequest.value = { refused: refused !== null, resolve };
  });
  const given = await pendingKey;
  pendingKey = null;
  keyRequest.value = null;
  if (given !== null) {
    key = given;
    sessionStorage.setItem(KEY_ITEM, given);
  }
  return key;
}

export async function loadConfig(): Promise<PageConfig> {
  return (await fetched("page.json")).json() as Promise<PageConfig>;
}

/** Sends a request by `send`, with the key if one is needed. Throws Problem. */
export async function request(
  path: string,
  needsKey: boolean,
  init: RequestInit = {},
  send: typeof fetch = fetch,
): Promise<Response> {
  for (let refused: string | null = null; ; ) {
    const given: string | null = needsKey ? await ensureKey(refused) : null;
    if (needsKey && given === null) throw new Problem(401, "The service reads nothing without its key.");
    const headers = new Headers(init.headers);
    if (given !== null) headers.set("Authorization", `Bearer ${given}`);
    try {
      return await fetched(path, { ...init, headers }, send);
    } catch (error) {
      if (!(error instanceof Problem && error.status === 401 && needsKey)) throw error;
      refused = given;
    }
  }
}

/** How a picture is on its way. */
export interface Watch {
  /** Ends it: then an AbortError is thrown. */
  signal: AbortSignal;
  /** The fraction that is sent, 0..1. */
  onSent: (fraction: number) => void;
  /** The service is busy and is asked again after N seconds; null: the wait is over. */
  onBusy: (seconds: number | null) => void;
}

/** Sends a picture as it is. If the service is busy, tries once more after the time that it names. */
export async function sendPicture(path: string, picture: Blob, needsKey: boolean, watch: Watch): Promise<Response> {
  const { signal, onSent, onBusy } = watch;
  const init = { method: "POST", body: picture, headers: { "Content-Type": picture.type }, signal };
  const ask = () => request(path, needsKey, init, uploader(onSent));
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof Problem && error.status === 503)) throw error;
    const seconds = Math.min(Math.max(error.retryAfter ?? 1, 0.5), 30);
    onBusy(seconds);
    try {
      await pause(seconds, signal);
    } finally {
      onBusy(null);
    }
    return ask();
  }
}

async function pause(seconds: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
  signal.throwIfAborted();
}

async function fetched(path: string, init: RequestInit = {}, send: typeof fetch = fetch): Promise<Response> {
  let response: Response;
  try {
    response = await send(path, init);
  } catch {
    init.signal?.throwIfAborted();
    throw noResponse();
  }
  if (response.ok) return response;
  const after = Number(response.headers.get("Retry-After") ?? NaN);
  throw new Problem(response.status, await detailOf(response), Number.isFinite(after) ? after : null);
}

export function noResponse(): Problem {
  return new Problem(0, "The server does not respond. Is it still running, and is there a network?");
}

async function detailOf(response: Response): Promise<string> {
  let detail = `The service responded with ${response.status} ${response.statusText}`.trim();
  if (response.headers.get("Content-Type")?.startsWith("application/problem+json")) {
    const problem = (await response.json()) as { title?: string; detail?: string };
    detail = problem.detail ?? problem.title ?? detail;
  }
  const sentence = detail.charAt(0).toUpperCase() + detail.slice(1);
  return /[.!?]$/.test(sentence) ? sentence : `${sentence}.`;
}
