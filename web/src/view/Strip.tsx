// The photos that were opened together, as a row of thumbnails.

import { useSignalEffect } from "@preact/signals";
import { useRef } from "preact/hooks";
import { drawBlurred, drawMarks, drawPicture, shortcoming } from "../draw.ts";
import { current, goTo, numbered, photos, type Photo } from "../photos.ts";
import { layoutIn } from "../layout.ts";
import { covering, emoji, pensOf, theme } from "../state.ts";
import { summary } from "../format.ts";

const SIDE = 128;

function stateOf(photo: Photo): string {
  if (photo.state === "waiting") return "waiting";
  if (photo.state === "reading") return "being read";
  if (photo.state === "failed") return photo.failure?.canRetry ? "not read" : "cannot be read";
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
            aria-label={`${photo.name}: ${stateOf(photo)}`}
            onClick={() => goTo(index)}
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
  const pens = pensOf(10);
  if (context === null || photo.thumbnail === null || pens === null) return;
  context.clearRect(0, 0, SIDE, SIDE);
  const layout = layoutIn(photo.width, photo.height, canvas, false);
  if (!covering.value) {
    drawPicture(context, photo.thumbnail, layout);
    return;
  }
  if (photo.record === null || shortcoming(photo.record.faces.length, pens.mostFaces) !== null) {
    drawBlurred(context, photo.thumbnail, layout);
    return;
  }
  drawPicture(context, photo.thumbnail, layout);
  drawMarks(context, numbered(photo.record), layout, theme.value, pens);
}
