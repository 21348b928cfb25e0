// What the page is doing, over the picture's lower edge, and summaries for screen readers.

import { effect } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { link, pace, paused } from "../live.ts";
import { cancel, photos, unfinished } from "../photos.ts";
import { sent } from "../read.ts";
import { backend, loading, reading, record, view } from "../state.ts";
import { percent, summary } from "../format.ts";

/** The least time between two summaries of a live picture. */
const SPOKEN_EVERY_MS = 4000;

export function Status() {
  const live = view.value === "camera";
  if (loading.value !== null) return <p class="status">Loading, {percent(loading.value)}</p>;
  if (live && link.value === "lost") return <p class="status lost">Reconnecting…</p>;
  if (live && link.value === "full") return <p class="status lost">The service takes no more streams. Trying again…</p>;
  if (live && link.value === "connecting") return <p class="status">Connecting…</p>;
  if (!live && unfinished.value) return <Progress />;
  if (reading.value) return <p class="status busy">Reading…</p>;
  if (live && !paused.value && pace.value !== null) {
    const { framesPerS, latencyMs } = pace.value;
    return (
      <p class="status pace">
        {Math.round(framesPerS)} frames/s · {Math.round(latencyMs)} ms ·{" "}
        {backend.value === "browser" ? "in this browser" : "on this server"}
      </p>
    );
  }
  return null;
}

/** How far the photos are, and the button that ends it. */
function Progress() {
  const all = photos.value.length;
  const next = photos.value.filter((photo) => photo.state === "done" || photo.state === "failed").length + 1;
  const which = all > 1 ? ` ${next} of ${all}` : "";
  const fraction = sent.value;
  const isSending = fraction !== null && fraction < 1;
  const onCancel = ({ detail }: MouseEvent) => {
    cancel();
    // This button is gone then. Who pressed a key goes on at the next one; a tap moves nothing.
    const preventScroll = detail > 0;
    requestAnimationFrame(() => document.querySelector<HTMLButtonElement>("button.again")?.focus({ preventScroll }));
  };
  return (
    <div class="status progress">
      <span>{isSending ? `Sending${which}, ${percent(fraction)}` : `Reading${which}…`}</span>
      {isSending && <progress value={fraction} aria-label="Sent" />}
      <button type="button" onClick={onCancel}>
        Cancel
      </button>
    </div>
  );
}

/** The summary of the record, for screen readers. */
export function Announcer() {
  const [text, setText] = useState("");
  useEffect(() => {
    let last = "";
    const update = () => {
      const live = view.peek() === "camera";
      const next = live && link.peek() === "lost" ? "Connection lost." : summary(record.peek(), live);
      if (next !== last) setText((last = next));
    };
    const timer = setInterval(update, SPOKEN_EVERY_MS);
    const stop = effect(() => {
      void record.value;
      if (view.value !== "camera") update();
    });
    return () => {
      clearInterval(timer);
      stop();
    };
  }, []);
  return (
    <p class="unseen" aria-live="polite" aria-atomic="true">
      {text}
    </p>
  );
}
