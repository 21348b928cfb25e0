// The photos that were opened together, to go through.

import { useSignalEffect } from "@preact/signals";
import { useRef } from "preact/hooks";
import { drawMarks, drawPicture, drawVeiled } from "../draw.ts";
import { current, look, numbered, photos, type Photo } from "../photos.ts";
import { fitted } from "../layout.ts";
import { config, emoji, theme } from "../state.ts";
import { summary } from "../words.ts";

const SIDE = 128;

function told(photo: Photo): string {
  if (photo.state === "waiting") return "waiting";
  if (photo.state === "reading") return "being read";
  if (photo.state === "failed") return photo.failure?.again ? "not read" : "cannot be read";
  return summary(photo.record) || "no face marked";
}

export function Strip() {
  return (
    <ol class="strip" aria-label="Photos">
      {photos.value.map((photo, index) => (
        <li key={photo.id}>
          <button
            type="button"
            class={photo.state}
            aria-current={index === current.value}
            aria-label={`${photo.name}: ${told(photo)}`}
            onClick={() => look(index)}
          >
            <Thumbnail id={photo.id} />
          </button>
        </li>
      ))}
    </ol>
  );
}

function Thumbnail({ id }: { id: number }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useSignalEffect(() => {
    const photo = photos.value.find((one) => one.id === id);
    void [theme.value, emoji.value];
    if (canvas.current !== null && photo !== undefined) paint(canvas.current, photo);
  });
  return <canvas ref={canvas} width={SIDE} height={SIDE} />;
}

function paint(canvas: HTMLCanvasElement, photo: Photo): void {
  const context = canvas.getContext("2d");
  if (context === null || photo.thumbnail === null || emoji.value === null) return;
  context.clearRect(0, 0, SIDE, SIDE);
  const place = fitted(photo.width, photo.height, canvas, false);
  if (theme.value === "emoji" && photo.record === null) {
    drawVeiled(context, photo.thumbnail, place);
    return;
  }
  drawPicture(context, photo.thumbnail, place);
  if (theme.value !== "emoji" || photo.record === null) return;
  const pens = { emoji: emoji.value, colors: config.value?.colors ?? {}, text: 10 };
  drawMarks(context, numbered(photo.record), place, "emoji", pens);
}
