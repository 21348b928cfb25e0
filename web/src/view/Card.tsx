// What was read of one face: its emotion and its probabilities.

import type { ComponentChildren } from "preact";
import { useLayoutEffect, useState } from "preact/hooks";
import { classColor, css } from "../colors.ts";
import { emojiAddress, UNCERTAIN } from "../emoji.ts";
import { percent } from "../format.ts";
import type { Marked } from "../layout.ts";
import { choose, chosen, linkTo, pointed } from "../linked.ts";
import type { Face } from "../record.ts";
import { config } from "../state.ts";

/** All bars, each with its name. */
export function Card({ mark: { face, number } }: { mark: Marked }) {
  return (
    <article class="card">
      <Head face={face} number={number} />
      <Bars values={face.probabilities} />
    </article>
  );
}

/** One stacked bar, which shows the bars and their names to who points at it, goes to it or presses it. */
export function BriefCard({ mark: { face, number } }: { mark: Marked }) {
  const isPointed = number !== null && (pointed.value ?? chosen.value) === number;
  return (
    <article class={isPointed ? "card brief pointed" : "card brief"} {...linkTo(number)} onClick={() => choose(number)}>
      <Head face={face} number={number} />
      <StackedBars face={face} number={number} />
    </article>
  );
}

function StackedBars({ face, number }: { face: Face; number: number | null }) {
  const [isOpen, setOpen] = useState(false);
  const [isOver, setOver] = useState(false);
  // At once, not after the next paint: an Escape in between would be missed.
  useLayoutEffect(() => {
    if (!isOver) return;
    const onKey = (event: KeyboardEvent) => event.key === "Escape" && setOver(false);
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [isOver]);
  const look = isOpen ? "below" : isOver ? "over" : "unseen";
  return (
    <div class="stacked" onPointerEnter={({ pointerType }) => setOver(pointerType === "mouse")} onPointerLeave={() => setOver(false)}>
      <button
        type="button"
        aria-expanded={isOpen}
        aria-label={`The bars of face ${number ?? ""}`}
        onClick={() => setOpen(!isOpen)}
        onFocus={() => setOver(true)}
        onBlur={() => setOver(false)}
      >
        <Stack values={face.probabilities} />
      </button>
      <div class={look}>
        <Bars values={face.probabilities} />
      </div>
    </div>
  );
}

function Head({ face, number }: { face: Face; number: number | null }) {
  return (
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
  );
}

/** Stands for the first card, so that nothing moves when a face appears. */
export function EmptyCard({ title }: { title: string }) {
  const none = Object.fromEntries((config.value?.classes ?? []).map((name) => [name, 0]));
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

function Stack({ values }: { values: Record<string, number> }) {
  const colors = config.value?.colors ?? {};
  return (
    <span class="stack" aria-hidden="true">
      {Object.entries(values).map(([name, value]) => (
        <i key={name} style={{ backgroundColor: css(classColor(name, colors)), width: `${100 * value}%` }} />
      ))}
    </span>
  );
}

/** blank leaves out the numbers, where nothing was read. */
function Bars({ values, blank = false }: { values: Record<string, number>; blank?: boolean }) {
  return (
    <ul class="bars">
      {Object.entries(values).map(([name, value]) => (
        <Bar key={name} name={name} label={name} fraction={value} text={blank ? "" : percent(value)} />
      ))}
    </ul>
  );
}

interface BarContent {
  /** The class, which gives the color. */
  name: string;
  label: ComponentChildren;
  fraction: number;
  text: string;
}

export function Bar({ name, label, fraction, text }: BarContent) {
  const color = css(classColor(name, config.value?.colors ?? {}));
  return (
    <li>
      <span class="name">{label}</span>
      <span class="bar" aria-hidden="true">
        <i style={{ backgroundColor: color, transform: `translateX(${100 * fraction - 100}%)` }} />
      </span>
      <span class="value">{text}</span>
    </li>
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
