// What is shown, as a PNG on the user's disk.

import { drawMarks, drawPicture } from "./draw.ts";
import { mirror, still } from "./live.ts";
import { fullSize } from "./photos.ts";
import { fitted } from "./layout.ts";
import { config, emoji, marked, record, room, shown, tell, theme, words, type Shown } from "./state.ts";

/** Whether there is a picture with an answer. */
export function canSave(): boolean {
  return record.value !== null && shown.value !== null;
}

export async function save(): Promise<void> {
  if (!canSave()) return;
  try {
    if (room.value === "camera") {
      const picture = still();
      if (picture !== null && shown.value !== null) await write(picture, shown.value, mirror.value, "camera");
      return;
    }
    const full = await fullSize();
    if (full === null) return;
    await write(full.picture, full.shown, false, full.name.replace(/\.[^.]*$/, ""));
    full.picture.close();
  } catch (error) {
    tell(`The picture cannot be saved: ${words(error)}.`);
  }
}

async function write(picture: CanvasImageSource, size: Shown, mirrored: boolean, name: string): Promise<void> {
  const sheet = emoji.value;
  const canvas = document.createElement("canvas");
  const own = picture as { width: number; height: number };
  canvas.width = own.width;
  canvas.height = own.height;
  const context = canvas.getContext("2d");
  if (context === null || sheet === null) throw new Error("this browser cannot draw on a canvas");
  const place = fitted(size.width, size.height, canvas, mirrored);
  drawPicture(context, picture, place);
  drawMarks(context, marked.value, place, theme.value, { emoji: sheet, colors: config.value?.colors ?? {}, text: 11 });
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
  if (blob === null) throw new Error("it is too large for this browser");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${name}-mien.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
