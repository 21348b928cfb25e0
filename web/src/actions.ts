// What buttons and keys do.

import { signal } from "@preact/signals";
import { mirror, restartStream, startCamera, stopCamera } from "./live.ts";
import { current, goTo, leave, open, photos, readAgain } from "./photos.ts";
import { switchBackend } from "./backend.ts";
import { request } from "./api.ts";
import { passedOverText, sorted } from "./files.ts";
import { putUp, takeDown } from "./notes.ts";
import { SAMPLE } from "./sample.ts";
import { covering, errorText, view, type Backend } from "./state.ts";

export const helpOpen = signal(false);
/** Whether single keys work as buttons do. Voice control types letters, so its users can turn this off. */
export const keysOn = signal(localStorage.getItem("mien.keys") !== "off");

let picker: HTMLInputElement | null = null;

export function setPicker(input: HTMLInputElement | null): void {
  picker = input;
}

export function choosePhotos(): void {
  picker?.click();
}

/** Opens photos that were chosen, dropped or pasted; folders: names of those among them. */
export function openPhotos(files: Iterable<File>, folders: ReadonlySet<string> = new Set()): void {
  const opened = sorted(files, folders);
  const isRead = opened.pictures.length > 0;
  if (isRead) {
    if (view.value === "camera") stopCamera();
    open(opened);
  }
  takeDown("files");
  const text = passedOverText(opened);
  if (text !== null) putUp("files", text, isRead ? "note" : "error", opened.passedOver.map(({ name, why }) => `${name} ${why}`));
}

/** Opens the photo that the page brings along. */
export async function openSample(): Promise<void> {
  try {
    const response = await request(SAMPLE, false);
    openPhotos([new File([await response.blob()], "sample.jpg", { type: "image/jpeg" })]);
  } catch (error) {
    putUp("files", errorText(error));
  }
}

/** What was dropped holds no file, but perhaps a picture of another page. */
export function refuseDrop(): void {
  putUp("files", "Drop a picture file: this page fetches no pictures from other pages.");
}

export async function toggleCamera(): Promise<void> {
  if (view.value === "camera") stopCamera();
  else await startCamera();
  requestAnimationFrame(keepFocus);
}

/** The button that had the focus may be gone with its view: then the new view's camera button gets the focus. */
function keepFocus(): void {
  if (document.activeElement !== document.body) return;
  document.querySelector<HTMLButtonElement>("button.camera")?.focus();
}

export function toStart(): void {
  if (view.value === "camera") stopCamera();
  leave();
  view.value = "start";
}

export function toggleCovering(): void {
  covering.value = !covering.value;
}

export async function setBackend(next: Backend): Promise<void> {
  if (!(await switchBackend(next))) return;
  if (view.value === "photos") readAgain();
  if (view.value === "camera") restartStream();
}

export function step(by: number): void {
  const next = current.value + by;
  if (view.value === "photos" && next >= 0 && next < photos.value.length) goTo(next);
}

export function toggleMirror(): void {
  mirror.value = !mirror.value;
}

export function setKeys(on: boolean): void {
  keysOn.value = on;
  localStorage.setItem("mien.keys", on ? "on" : "off");
}
