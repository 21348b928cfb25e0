// Reads one photo, by the service or in the browser, or lets the service explain it.

import { signal } from "@preact/signals";
import { sendPicture } from "./api.ts";
import { engine } from "./backend.ts";
import { count } from "./format.ts";
import { putUp, takeDown } from "./notes.ts";
import type { PageConfig, ServiceConfig } from "./config.ts";
import type { Box, PictureRecord } from "./record.ts";
import { forService } from "./sent.ts";
import { canDetect } from "./state.ts";

/** The fraction of the photo that the service has got, 0..1; null where nothing is sent. */
export const sent = signal<number | null>(null);

/** The record, in pixels of what was sent. */
export async function onServer(
  file: Blob,
  full: ImageBitmap,
  settings: PageConfig,
  service: ServiceConfig,
  signal: AbortSignal,
): Promise<PictureRecord> {
  const body = await forService(file, full, settings, service);
  return (await (await sentToServer("v1/predict", body, service, signal)).json()) as PictureRecord;
}

/** A picture of the faces and of what in them spoke for a class; null: for each face's likeliest. */
export async function explainedOnServer(
  file: Blob,
  full: ImageBitmap,
  settings: PageConfig,
  service: ServiceConfig,
  signal: AbortSignal,
  emotion: string | null,
): Promise<Blob> {
  const query = new URLSearchParams({ draw: "1", ...(emotion === null ? {} : { emotion }) });
  const body = await forService(file, full, settings, service);
  return (await sentToServer(`v1/explain?${query.toString()}`, body, service, signal)).blob();
}

async function sentToServer(path: string, body: Blob, service: ServiceConfig, signal: AbortSignal): Promise<Response> {
  signal.throwIfAborted();
  try {
    return await sendPicture(path, body, service.key_required, {
      signal,
      onSent: (fraction) => (sent.value = fraction),
      onBusy: (seconds) => {
        if (seconds === null) takeDown("busy");
        else putUp("busy", `The service is busy. It is asked again in ${count(Math.ceil(seconds), "second")}.`, "note");
      },
    });
  } finally {
    sent.value = null;
  }
}

/** null where there is no detector and the user has drawn no rectangle yet. */
export async function inBrowser(full: ImageBitmap, boxes: readonly Box[]): Promise<PictureRecord | null> {
  if (!canDetect.value && boxes.length === 0) return null;
  const reader = await engine();
  const picture = await createImageBitmap(full);
  return reader.analyze(picture, boxes.length > 0 ? { boxes: [...boxes] } : {});
}
