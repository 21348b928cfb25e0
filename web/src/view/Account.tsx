// What became of each file that was opened: read, waiting, not read and why, passed over and why.

import { count } from "../format.ts";
import { passedOver, photos } from "../photos.ts";
import { Items } from "./NoteBar.tsx";

export function Account() {
  const all = photos.value.length + passedOver.value.length;
  const failed = photos.value.filter((photo) => photo.state === "failed");
  if (all < 2) return null;
  const done = photos.value.filter((photo) => photo.state === "done").length;
  const parts = [
    [done, "read"],
    [photos.value.length - done - failed.length, "waiting"],
    [failed.length, "not read"],
    [passedOver.value.length, "passed over"],
  ] as const;
  const text = `${count(all, "file")}: ${parts.filter(([number]) => number > 0).map((part) => part.join(" ")).join(", ")}`;
  const lines = [
    ...failed.map(({ name, failure }) => `${name}: ${failure?.why ?? ""}`),
    ...passedOver.value.map(({ name, why }) => `${name} ${why}.`),
  ];
  if (lines.length === 0) return <p class="account">{text}</p>;
  return (
    <details class="account">
      <summary>{text}</summary>
      <Items lines={lines} />
    </details>
  );
}
