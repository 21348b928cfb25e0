// The picture with its marks, and the rectangles that the user draws on it.

import { useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { drawBackground, drawMarked, drawRectangle } from "../draw.ts";
import { mirror, paused } from "../live.ts";
import { current, failure, photos } from "../photos.ts";
import { layoutIn, markAt, type Layout, type Marked } from "../layout.ts";
import { chosen, goToCard, pointed } from "../linked.ts";
import type { Box } from "../record.ts";
import {
  covering, drawing, emoji, marked, pensOf, reading, record, rectangles, shown, theme, tick, view, type Shown,
} from "../state.ts";
import { summary } from "../format.ts";
import { changeRectangles, moved } from "../rectangles.ts";
import { Status } from "./Status.tsx";

export function Stage() {
  const canvas = useRef<HTMLCanvasElement>(null);
  const frame = useRef(0);

  const redraw = () => {
    cancelAnimationFrame(frame.current);
    frame.current = requestAnimationFrame(() => {
      if (canvas.current !== null) paint(canvas.current);
    });
  };

  useSignalEffect(() => {
    // Reading these signals subscribes to them.
    void [shown.value, marked.value, theme.value, tick.value, rectangles.value, mirror.value, emoji.value, record.value,
      pointed.value, chosen.value];
    redraw();
  });
  useEffect(() => {
    const observer = new ResizeObserver(redraw);
    if (canvas.current !== null) observer.observe(canvas.current);
    return () => {
      observer.disconnect();
      cancelAnimationFrame(frame.current);
    };
  }, []);

  const photo = photos.value[current.value];
  const draws = drawing.value && failure.value?.canRetry !== false;
  const text = summary(record.value, view.value === "camera");
  return (
    <>
      <div class="stage">
        <canvas
          ref={canvas}
          class={draws ? "picture draws" : "picture"}
          role="img"
          aria-label={reading.value ? "The picture, being read" : `The picture. ${text}`}
          {...(draws ? pointers() : links())}
        />
        {draws && <Rectangle />}
        {photo !== undefined && failure.value !== null && (
          <div class="failure" role="alert" key={photo.id}>
            <p class="name">{photo.name}</p>
            <p>{failure.value.why}</p>
          </div>
        )}
        {paused.value && <p class="veil">Paused while the page is hidden</p>}
        <Status />
      </div>
      {draws && <Hint />}
    </>
  );
}

/** Draws rectangles by keyboard: it lies over the picture and takes the focus. */
function Rectangle() {
  const onKeyDown = (event: KeyboardEvent) => {
    if (shown.value === null || event.ctrlKey || event.metaKey || event.altKey) return;
    const next = moved(rectangles.value, event.key, event.shiftKey, shown.value, view.value === "camera" && mirror.value);
    if (next === null) return;
    event.preventDefault();
    event.stopPropagation();
    changeRectangles(next);
  };
  return (
    <div
      class="keys"
      tabIndex={0}
      role="application"
      aria-label="Rectangle round a face. Enter adds one, arrow keys move it, shift and arrow keys size it, Delete removes it."
      onKeyDown={onKeyDown}
    />
  );
}

function Hint() {
  if (covering.value && marked.value.length === 0) {
    return <p class="note hint">Switch off “Cover faces” to see the picture and to mark faces on it.</p>;
  }
  return (
    <p class="note hint">
      {rectangles.value.length === 0
        ? "Draw a rectangle round a face, or go to the picture by keyboard and press Enter."
        : "Arrow keys move the rectangle, shift and arrow keys size it."}
    </p>
  );
}

function pixelsOf(canvas: HTMLCanvasElement): { width: number; height: number; ratio: number } {
  const ratio = Math.min(window.devicePixelRatio || 1, 3);
  return { width: Math.round(canvas.clientWidth * ratio), height: Math.round(canvas.clientHeight * ratio), ratio };
}

function layoutOf(canvas: HTMLCanvasElement, picture: Shown): Layout {
  return layoutIn(picture.width, picture.height, pixelsOf(canvas), view.value === "camera" && mirror.value);
}

function paint(canvas: HTMLCanvasElement): void {
  const { width, height, ratio } = pixelsOf(canvas);
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext("2d");
  if (context === null || width === 0) return;
  context.clearRect(0, 0, width, height);
  const picture = shown.value;
  const pens = pensOf(13 * ratio);
  if (picture === null || pens === null) return;
  const layout = layoutOf(canvas, picture);
  drawBackground(context, picture.picture, canvas);
  const marks = covering.value && isUnread(picture) ? null : marked.value;
  drawMarked(context, picture.picture, marks, layout, theme.value, { ...pens, pointed: pointed.value ?? chosen.value });
  for (const [index, box] of rectangles.value.entries()) {
    drawRectangle(context, box, layout, index === rectangles.value.length - 1, ratio);
  }
}

/** Whether the record is of another picture or not there yet; the camera's present frame never has one. */
function isUnread(picture: Shown): boolean {
  return record.value === null || picture.picture instanceof HTMLVideoElement;
}

/** Where the pointer is, in pixels of the canvas, and how the picture lies there; null without a picture. */
function under(event: MouseEvent): { x: number; y: number; layout: Layout } | null {
  const canvas = event.currentTarget as HTMLCanvasElement;
  if (shown.value === null) return null;
  const { ratio } = pixelsOf(canvas);
  return { x: event.offsetX * ratio, y: event.offsetY * ratio, layout: layoutOf(canvas, shown.value) };
}

/** Links the boxes with the cards of their faces. */
function links() {
  const faceAt = (event: MouseEvent): Marked | null => {
    const at = under(event);
    const found = at && markAt(marked.value, at, at.layout);
    (event.currentTarget as HTMLElement).style.cursor = found?.number != null ? "pointer" : "";
    return found;
  };
  return {
    onPointerMove: (event: PointerEvent) => (pointed.value = faceAt(event)?.number ?? null),
    onPointerLeave: () => (pointed.value = null),
    onClick: (event: MouseEvent) => {
      const number = faceAt(event)?.number ?? null;
      if (number === null) chosen.value = null;
      else goToCard(number);
    },
  };
}

/** Draws a rectangle with a mouse, a pen or a finger. */
function pointers() {
  let start: { x: number; y: number } | null = null;
  let before: readonly Box[] = [];
  const at = (event: PointerEvent): { x: number; y: number } | null => {
    const picture = shown.value;
    const point = under(event);
    if (picture === null || point === null) return null;
    const { layout } = point;
    const across = point.x - layout.left;
    const x = (layout.mirror ? layout.width - across : across) / layout.scale;
    const y = (point.y - layout.top) / layout.scale;
    return { x: Math.min(Math.max(x, 0), picture.width), y: Math.min(Math.max(y, 0), picture.height) };
  };
  const between = (end: { x: number; y: number }): Box | null => {
    if (start === null) return null;
    const width = Math.abs(end.x - start.x);
    const height = Math.abs(end.y - start.y);
    return { x: Math.min(start.x, end.x), y: Math.min(start.y, end.y), width, height };
  };
  return {
    onPointerDown: (event: PointerEvent) => {
      start = at(event);
      before = rectangles.value;
      (event.currentTarget as HTMLCanvasElement).setPointerCapture(event.pointerId);
    },
    onPointerMove: (event: PointerEvent) => {
      const end = at(event);
      const box = end && between(end);
      if (box !== null) rectangles.value = [...before, box];
    },
    onPointerUp: (event: PointerEvent) => {
      const end = at(event);
      const box = end && between(end);
      start = null;
      if (box !== null && Math.min(box.width, box.height) >= 8) changeRectangles([...before, box]);
      else rectangles.value = before;
    },
    onPointerCancel: () => {
      if (start !== null) rectangles.value = before;
      start = null;
    },
  };
}
