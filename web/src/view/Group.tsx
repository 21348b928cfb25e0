// Many faces: how many show which emotion, a button for each face, and the card of the one that the user chose.

import { label } from "../format.ts";
import type { Marked } from "../layout.ts";
import { choose, chosen, linkTo, pointed } from "../linked.ts";
import { Bar, Card, Emoji } from "./Card.tsx";

/** More buttons would be too many to look through. */
const MAX_BUTTONS = 120;

export function Group({ marks }: { marks: readonly Marked[] }) {
  // Where no card is shown yet, pointing shows none: it would come up under the pointer.
  const shown = chosen.value === null ? null : pointed.value ?? chosen.value;
  const mark = marks.find((one) => shown !== null && one.number === shown);
  const more = marks.length - MAX_BUTTONS;
  return (
    <>
      <Counts marks={marks} />
      <ul class="chips" aria-label="Each face">
        {marks.slice(0, MAX_BUTTONS).map((one) => (
          <li key={one.number}>
            <Chip mark={one} />
          </li>
        ))}
      </ul>
      {more > 0 && <p class="more">and {more} more</p>}
      {mark === undefined ? (
        <p class="more">Choose a face, here or on the picture, to see its bars.</p>
      ) : (
        <div class="detail">
          <Card mark={mark} />
        </div>
      )}
    </>
  );
}

function Counts({ marks }: { marks: readonly Marked[] }) {
  const numbers = new Map<string, number>();
  for (const { face } of marks) numbers.set(face.emotion, (numbers.get(face.emotion) ?? 0) + 1);
  const rows = [...numbers].sort(([, one], [, other]) => other - one);
  const uncertain = marks.filter(({ face }) => face.uncertain).length;
  return (
    <article class="card group">
      <header>
        <h2>Group of {marks.length}</h2>
        {uncertain > 0 && <span class="uncertain">{uncertain} uncertain</span>}
      </header>
      <ul class="bars counts">
        {rows.map(([name, number]) => (
          <Bar key={name} name={name} label={<Named name={name} />} fraction={number / marks.length} text={`${number}`} />
        ))}
      </ul>
    </article>
  );
}

function Named({ name }: { name: string }) {
  return (
    <>
      <Emoji name={name} /> <span class="emotion">{name}</span>
    </>
  );
}

function Chip({ mark: { face, number } }: { mark: Marked }) {
  return (
    <button
      type="button"
      class={pointed.value === number ? "pointed" : ""}
      aria-pressed={chosen.value === number}
      aria-label={`Face ${number}: ${label(face)}`}
      onClick={() => choose(number)}
      {...linkTo(number)}
    >
      <Emoji name={face.emotion} uncertain={face.uncertain} />
      {number}
    </button>
  );
}
