// What goes on, over the picture's lower edge; and the same, more rarely, for those who hear the page.

import { effect } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { link, pace, paused } from "../live.ts";
import { loading, message, place, reading, record, room } from "../state.ts";
import { percent, summary } from "../words.ts";

/** At most so often are words spoken over a live picture. */
const SPOKEN_EVERY_MS = 4000;

export function Status() {
  const live = room.value === "camera";
  if (loading.value !== null) return <p class="status">Loading, {percent(loading.value)}</p>;
  if (live && link.value === "lost") return <p class="status lost">Reconnecting…</p>;
  if (live && link.value === "full") return <p class="status lost">The service takes no more streams. Trying again…</p>;
  if (live && link.value === "connecting") return <p class="status">Connecting…</p>;
  if (reading.value) return <p class="status busy">Reading…</p>;
  if (live && !paused.value && pace.value !== null) {
    const { framesPerS, latencyMs } = pace.value;
    return (
      <p class="status pace">
        {Math.round(framesPerS)} frames/s · {Math.round(latencyMs)} ms ·{" "}
        {place.value === "browser" ? "in this browser" : "on this server"}
      </p>
    );
  }
  return null;
}

/** Errors and notes, with a button that takes them away. */
export function MessageBar() {
  const told = message.value;
  return (
    <div class="messages" role={told?.kind === "error" ? "alert" : "status"}>
      {told !== null && (
        <p class={`message ${told.kind}`}>
          <span>{told.text}</span>
          <button type="button" class="quiet" aria-label="Close this message" onClick={() => (message.value = null)}>
            ✕
          </button>
        </p>
      )}
    </div>
  );
}

/** Who shows what, spoken politely. */
export function Spoken() {
  const [text, setText] = useState("");
  useEffect(() => {
    let last = "";
    const say = () => {
      const live = room.peek() === "camera";
      const next = live && link.peek() === "lost" ? "Connection lost." : summary(record.peek(), live);
      if (next !== last) setText((last = next));
    };
    const timer = setInterval(say, SPOKEN_EVERY_MS);
    const stop = effect(() => {
      void record.value;
      if (room.value !== "camera") say();
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
