// What buttons and keys do.

import { signal } from "@preact/signals";
import { mirror, readElsewhere, startCamera, stopCamera } from "./live.ts";
import { current, leave, look, open, photos, readAgain } from "./photos.ts";
import { moveTo } from "./backend.ts";
import { message, room, tell, theme, type Place } from "./state.ts";

export const helps = signal(false);
/** Single keys do what buttons do; who speaks to the computer may turn that off. */
export const keysOn = signal(localStorage.getItem("mien.keys") !== "off");

let picker: HTMLInputElement | null = null;

export function setPicker(input: HTMLInputElement | null): void {
  picker = input;
}

export function choosePhotos(): void {
  picker?.click();
}

/** Photos that were chosen, dropped or pasted. */
export function openPhotos(files: Iterable<File>): void {
  const pictures = [...files].filter((file) => file.type === "" || file.type.startsWith("image/"));
  if (pictures.length === 0) {
    tell("That is not a picture file.");
    return;
  }
  if (room.value === "camera") stopCamera();
  open(pictures);
}

export async function toggleCamera(): Promise<void> {
  if (room.value === "camera") stopCamera();
  else await startCamera();
  requestAnimationFrame(keepFocus);
}

/** The button that had the focus may be gone with its room: then the other room's camera button has it. */
function keepFocus(): void {
  if (document.activeElement !== document.body) return;
  document.querySelector<HTMLButtonElement>("button.camera")?.focus();
}

export function toStart(): void {
  if (room.value === "camera") stopCamera();
  leave();
  message.value = null;
  room.value = "start";
}

export function toggleTheme(): void {
  theme.value = theme.value === "emoji" ? "boxes" : "emoji";
}

export async function readIn(next: Place): Promise<void> {
  if (!(await moveTo(next))) return;
  if (room.value === "photos") readAgain();
  if (room.value === "camera") readElsewhere();
}

export function step(by: number): void {
  const next = current.value + by;
  if (room.value === "photos" && next >= 0 && next < photos.value.length) look(next);
}

export function toggleMirror(): void {
  mirror.value = !mirror.value;
}

export function setKeys(on: boolean): void {
  keysOn.value = on;
  localStorage.setItem("mien.keys", on ? "on" : "off");
}
