// A face's card and its box on the picture belong together: who points at one sees the other.

import { signal } from "@preact/signals";

/** The number of the face that the user points at or has the focus on; null: none. */
export const pointed = signal<number | null>(null);
/** The number of the face that the user chose, which stands out where none is pointed at; of a group its card is shown. */
export const chosen = signal<number | null>(null);

export function forgetFaces(): void {
  pointed.value = null;
  chosen.value = null;
}

/** What a card or its like needs to be linked with the face's box. */
export function linkTo(number: number | null) {
  const point = () => {
    pointed.value = number;
  };
  const leave = () => {
    if (pointed.peek() === number) pointed.value = null;
  };
  return {
    "data-face": number,
    onPointerEnter: point,
    onPointerLeave: leave,
    onFocusIn: point,
    onFocusOut: leave,
  };
}

/** Shows the card of a face, chosen on the picture, and gives it the focus. */
export function goToCard(number: number): void {
  chosen.value = number;
  requestAnimationFrame(() => {
    const card = document.querySelector(`.faces [data-face="${number}"]`);
    card?.scrollIntoView({ block: "nearest" });
    (card?.matches("button") ? (card as HTMLButtonElement) : card?.querySelector("button"))?.focus({ preventScroll: true });
  });
}

/** Chooses a face by its card, or chooses none if it was chosen; fingers point at nothing once they are lifted. */
export function choose(number: number | null): void {
  chosen.value = chosen.value === number ? null : number;
  goToPicture();
}

/** Shows the picture, where it was scrolled out of view. */
export function goToPicture(): void {
  document.querySelector(".stage")?.scrollIntoView({ block: "nearest" });
}
