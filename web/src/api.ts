// The service's REST side: its key, its problems (RFC 9457) and its records.

import { signal } from "@preact/signals";
import type { PageConfig, PictureRecord } from "./record.ts";

/** What the service, or the way to it, did not do, in words for people. status is 0 where nothing was answered. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    detail: string,
    /** Seconds to wait, where the service says so. */
    readonly retryAfter: number | null = null,
  ) {
    super(detail);
  }
}

const STORED = "mien.key";
/** Kept for this tab only. */
let key: string | null = sessionStorage.getItem(STORED);

interface Asked {
  /** Whether a key was given before, and refused. */
  refused: boolean;
  answer: (key: string | null) => void;
}

/** Set while the user is asked for the key. */
export const asked = signal<Asked | null>(null);
let asking: Promise<string | null> | null = null;

/** The key, asked for where there is none; null when the user does not tell it. refused: the one that did not fit. */
export async function ensureKey(refused: string | null = null): Promise<string | null> {
  if (refused !== null && refused === key) {
    key = null;
    sessionStorage.removeItem(STORED);
  }
  if (key !== null) return key;
  asking ??= new Promise((resolve) => {
    asked.value = { refused: refused !== null, answer: resolve };
  });
  const given = await asking;
  asking = null;
  asked.value = null;
  if (given !== null) {
    key = given;
    sessionStorage.setItem(STORED, given);
  }
  return key;
}

export async function loadConfig(): Promise<PageConfig> {
  return (await answerOf("page.json")).json() as Promise<PageConfig>;
}

/** A request with the key, where one is needed. Throws Problem. */
export async function request(path: string, needsKey: boolean, init: RequestInit = {}): Promise<Response> {
  for (let refused: string | null = null; ; ) {
    const given: string | null = needsKey ? await ensureKey(refused) : null;
    if (needsKey && given === null) throw new Problem(401, "Without its key the service reads nothing.");
    const headers = new Headers(init.headers);
    if (given !== null) headers.set("Authorization", `Bearer ${given}`);
    try {
      return await answerOf(path, { ...init, headers });
    } catch (error) {
      if (!(error instanceof Problem && error.status === 401 && needsKey)) throw error;
      refused = given;
    }
  }
}

/** Sends a picture as it is; a service that is busy is asked once more, when it says. */
export async function predict(
  picture: Blob,
  needsKey: boolean,
  onBusy: (seconds: number) => void,
): Promise<PictureRecord> {
  const init = { method: "POST", body: picture, headers: { "Content-Type": picture.type } };
  try {
    return (await (await request("v1/predict", needsKey, init)).json()) as PictureRecord;
  } catch (error) {
    if (!(error instanceof Problem && error.status === 503)) throw error;
    const seconds = Math.min(Math.max(error.retryAfter ?? 1, 0.5), 30);
    onBusy(seconds);
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
    return (await (await request("v1/predict", needsKey, init)).json()) as PictureRecord;
  }
}

async function answerOf(path: string, init?: RequestInit): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(path, init);
  } catch {
    throw unanswered();
  }
  if (answer.ok) return answer;
  const after = Number(answer.headers.get("Retry-After") ?? NaN);
  throw new Problem(answer.status, await detailOf(answer), Number.isFinite(after) ? after : null);
}

export function unanswered(): Problem {
  return new Problem(0, "The service does not answer. Is it still running?");
}

async function detailOf(answer: Response): Promise<string> {
  let detail = `The service answered ${answer.status} ${answer.statusText}`.trim();
  if (answer.headers.get("Content-Type")?.startsWith("application/problem+json")) {
    const problem = (await answer.json()) as { title?: string; detail?: string };
    detail = problem.detail ?? problem.title ?? detail;
  }
  const sentence = detail.charAt(0).toUpperCase() + detail.slice(1);
  return /[.!?]$/.test(sentence) ? sentence : `${sentence}.`;
}
