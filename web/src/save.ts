// Saves the picture shown, with its marks, as a PNG file.

import { drawMarks, drawPicture } from "./draw.ts";
import { mirror, still } from "./live.ts";
import { fullSize } from "./photos.ts";
import { layoutIn } from "./layout.ts";
import { config, emoji, errorText, marked, record, showMessage, shown, theme, view, type Shown } from "./state.ts";

/** Whether there is a picture that was read. */
export function canSave(): boolean {
  return record.value !== null && shown.value !== null;
}

export async function save(): Promise<void> {
  if (!canSave()) return;
  try {
    if (view.value === "camera") {
      const picture = still();
      if (picture !== null && shown.value !== null) await savePng(picture, shown.value, mirror.value, "camera");
      return;
    }
    const full = await fullSize();
    if (full === null) return;
    await savePng(full.picture, full.shown, false, full.name.replace(/\.[^.]*$/, ""));
    full.picture.close();
  } catch (error) {
    showMessage(`The picture cannot be saved: ${errorText(error)}.`);
  }
}

async function savePng(picture: CanvasImageSource, size: Shown, mirrored: boolean, name: string): Promise<void> {
  const sheet = emoji.value;
  const canvas = document.createElement("canvas");
  const source = picture as { width: number; height: number };
  canvas.width = source.width;
  canvas.height = source.height;
  const context = canvas.getContext("2d");
  if (context === null || sheet === null) throw new Error("this browser cannot draw on a canvas");
  const layout = layoutIn(size.width, size.height, canvas, mirrored);
  drawPicture(context, picture, layout);
  drawMarks(context, marked.value, layout, theme.value, { emoji: sheet, colors: config.value?.colors ?? {}, text: 11 });
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
  if (blob === null) throw new Error("it is too large for this browser");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${name}-mien.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
