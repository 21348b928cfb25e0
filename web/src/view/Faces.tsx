// A card for each face beside the picture: its emotion and its probabilities.

import { classColor, css } from "../colors.ts";
import { emojiAddress, UNCERTAIN } from "../emoji.ts";
import { failure } from "../photos.ts";
import type { Marked } from "../layout.ts";
import { canDetect, config, drawing, marked, reading, record, view } from "../state.ts";
import { percent } from "../format.ts";

/** More cards would be too long a list to read. */
const MAX_CARDS = 12;
/** With more faces each card has one stacked bar instead of a bar for each class. */
const MAX_FULL_CARDS = 2;

export function Faces() {
  const cards = record.value === null ? [] : marked.value.slice(0, record.value.faces.length);
  const more = cards.length - MAX_CARDS;
  return (
    <section class="faces" aria-label="Faces">
      {cards.slice(0, MAX_CARDS).map((mark, index) => (
        <Card key={mark.number ?? `only ${index}`} mark={mark} brief={cards.length > MAX_FULL_CARDS} />
      ))}
      {cards.length === 0 && <NoCard />}
      {more > 0 && <p class="more">and {more} more</p>}
    </section>
  );
}

function Card({ mark: { face, number }, brief }: { mark: Marked; brief: boolean }) {
  return (
    <article class={brief ? "card brief" : "card"}>
      <header>
        <Emoji name={face.emotion} uncertain={face.uncertain} />
        <h2>
          {number !== null && <span class="number">{number}</span>}
          <span class="emotion">
            {face.emotion}
            {face.uncertain && "?"}
          </span>
          {face.uncertain && <span class="uncertain">uncertain</span>}
        </h2>
        <span class="confidence">{percent(face.confidence)}</span>
      </header>
      {brief && <Stack values={face.probabilities} />}
      <Bars values={face.probabilities} />
    </article>
  );
}

function Stack({ values }: { values: Record<string, number> }) {
  const colors = config.value?.colors ?? {};
  return (
    <div class="stack" aria-hidden="true">
      {Object.entries(values).map(([name, value]) => (
        <i key={name} style={{ backgroundColor: css(classColor(name, colors)), width: `${100 * value}%` }} />
      ))}
    </div>
  );
}

/** Stands for the first card, so that nothing moves when a face appears. */
function NoCard() {
  const none = Object.fromEntries((config.value?.classes ?? []).map((name) => [name, 0]));
  const live = view.value === "camera";
  const unread = drawing.value && !canDetect.value && failure.value === null ? "No face marked" : "Not read";
  const found = live ? "Looking for a face…" : "No face found";
  const title = reading.value ? "Reading…" : record.value === null ? unread : found;
  return (
    <article class="card empty">
      <header>
        <span class="emoji none" aria-hidden="true" />
        <h2>{title}</h2>
      </header>
      <div aria-hidden="true">
        <Bars values={none} blank />
      </div>
    </article>
  );
}

/** blank leaves out the numbers, where nothing was read. */
function Bars({ values, blank = false }: { values: Record<string, number>; blank?: boolean }) {
  const colors = config.value?.colors ?? {};
  const rows = Object.entries(values);
  return (
    <ul class="bars">
      {rows.map(([name, value]) => (
        <li key={name}>
          <span class="name">{name}</span>
          <span class="bar" aria-hidden="true">
            <i style={{ backgroundColor: css(classColor(name, colors)), transform: `translateX(${100 * value - 100}%)` }} />
          </span>
          <span class="value">{!blank && percent(value)}</span>
        </li>
      ))}
    </ul>
  );
}

export function Emoji({ name, uncertain = false }: { name: string; uncertain?: boolean }) {
  return (
    <span class={uncertain ? "emoji pale" : "emoji"} aria-hidden="true">
      <img src={emojiAddress(name)} alt="" width="48" height="48" />
      {uncertain && <img src={UNCERTAIN} alt="" width="48" height="48" />}
    </span>
  );
}
