// The notes, each with a button that closes it.

import { notes, takeDown, type Note } from "../notes.ts";

/** A longer list is cut. */
const MAX_ITEMS = 200;

export function NoteBar() {
  const of = (kind: Note["kind"]) =>
    notes.value.filter((note) => note.kind === kind).map((note) => <Line key={note.owner} note={note} />);
  return (
    <div class="messages">
      <div role="alert">{of("error")}</div>
      <div role="status">{of("note")}</div>
    </div>
  );
}

function Line({ note: { owner, kind, text, items } }: { note: Note }) {
  return (
    <div class={`message ${kind}`}>
      <div class="text">
        <p>{text}</p>
        {items.length > 1 && (
          <details>
            <summary>Which</summary>
            <Items lines={items} />
          </details>
        )}
      </div>
      <button type="button" class="quiet" aria-label="Close this message" onClick={() => takeDown(owner)}>
        ✕
      </button>
    </div>
  );
}

export function Items({ lines }: { lines: readonly string[] }) {
  const more = lines.length - MAX_ITEMS;
  return (
    <ul class="items" tabIndex={0}>
      {lines.slice(0, MAX_ITEMS).map((line, index) => (
        <li key={index}>{line}</li>
      ))}
      {more > 0 && <li>and {more} more</li>}
    </ul>
  );
}
