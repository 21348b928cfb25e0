// Saves the picture shown, with its marks, as a PNG file, and what was read as JSON or CSV. Where faces are to be
// covered and may not all be, the picture is saved blurred.

import { drawMarked, type Theme } from "./draw.ts";
import { mirror, recordLog, still } from "./live.ts";
import { fullSize, photos, records } from "./photos.ts";
import { layoutIn, type Marked } from "./layout.ts";
import { putUp, takeDown } from "./notes.ts";
import { toCsv, toJsonLines } from "./table.ts";
import { config, errorText, marked, pensOf, record, shown, theme, view, type Shown } from "./state.ts";

/** Whether there is a picture that was read. */
export function canSave(): boolean {
  return record.value !== null && shown.value !== null;
}

/** Saves the records of all photos, or of the camera's last minute. */
export function saveRecords(format: "json" | "csv"): void {
  takeDown("saving");
  const isLive = view.value === "camera";
  const read = isLive ? recordLog.records : records();
  const text = format === "json" ? toJsonLines(read) : toCsv(read, config.value?.classes ?? []);
  const name = isLive ? "camera" : photos.value.length === 1 ? stem(photos.value[0]!.name) : "photos";
  const [type, ending] = format === "json" ? ["application/jsonl", "jsonl"] : ["text/csv", "csv"];
  download(new Blob([text], { type }), `${name}-mien.${ending}`);
}

interface Picture {
  pixels: CanvasImageSource & { width: number; height: number };
  /** In pixels of the record. */
  size: Shown;
  mirrored: boolean;
  name: string;
}

export async function save(): Promise<void> {
  if (!canSave()) return;
  takeDown("saving");
  // Of this picture: another one may be shown before this one is decoded in full size.
  const [marks, look] = [marked.value, theme.value];
  try {
    if (view.value === "camera") {
      const pixels = still();
      const size = shown.value;
      if (pixels !== null && size !== null) {
        await savePng({ pixels, size, mirrored: mirror.value, name: "camera" }, marks, look);
      }
      return;
    }
    const full = await fullSize();
    if (full === null) return;
    await savePng({ pixels: full.picture, size: full.shown, mirrored: false, name: stem(full.name) }, marks, look);
    full.picture.close();
  } catch (error) {
    putUp("saving", `The picture cannot be saved: ${errorText(error)}.`);
  }
}

async function savePng(picture: Picture, marks: readonly Marked[], look: Theme): Promise<void> {
  const { pixels, size, mirrored, name } = picture;
  const pens = pensOf(11);
  const canvas = document.createElement("canvas");
  canvas.width = pixels.width;
  canvas.height = pixels.height;
  const context = canvas.getContext("2d");
  if (context === null || pens === null) throw new Error("this browser cannot draw on a canvas");
  const layout = layoutIn(size.width, size.height, canvas, mirrored);
  drawMarked(context, pixels, marks, layout, look, pens);
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
  if (blob === null) throw new Error("it is too large for this browser");
  download(blob, `${name}-mien.png`);
}

function stem(name: string): string {
  return name.replace(/\.[^.]*$/, "");
}

function download(content: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
