// What was read, beside the picture: a card for each face, or a group's summary.

import { failure } from "../photos.ts";
import { canDetect, drawing, marked, reading, record, view } from "../state.ts";
import { BriefCard, Card, EmptyCard } from "./Card.tsx";
import { Group } from "./Group.tsx";

/** More faces have one stacked bar each, and still more are a group. */
const MAX_CARDS = 2;
const MAX_BRIEF_CARDS = 6;

export function Faces() {
  const marks = record.value === null ? [] : marked.value.slice(0, record.value.faces.length);
  const OneCard = marks.length > MAX_CARDS ? BriefCard : Card;
  return (
    <section class="faces" aria-label="Faces">
      {marks.length > MAX_BRIEF_CARDS ? (
        <Group marks={marks} />
      ) : (
        marks.map((mark, index) => <OneCard key={mark.number ?? `only ${index}`} mark={mark} />)
      )}
      {marks.length === 0 && <EmptyCard title={emptyTitle()} />}
    </section>
  );
}

function emptyTitle(): string {
  if (reading.value) return "Reading…";
  if (record.value !== null) return view.value === "camera" ? "Looking for a face…" : "No face found";
  return drawing.value && !canDetect.value && failure.value === null ? "No face marked" : "Not read";
}
