// Which of the files that a user opens are read, and why the others are passed over.

import { count } from "./format.ts";

export const MAX_PHOTOS = 30;
/** Names that a note lists; the account below the photos lists all. */
const NAMED = 3;
const BEYOND = `is beyond the ${MAX_PHOTOS} that are read at once`;

/** A file that is not read. */
export interface PassedOver {
  name: string;
  why: string;
}

export interface Sorted {
  pictures: File[];
  passedOver: PassedOver[];
}

/** Sorts files by what the browser takes them for; folders: names of dropped folders, which it gives as files too. */
export function sorted(files: Iterable<File>, folders: ReadonlySet<string> = new Set()): Sorted {
  const pictures: File[] = [];
  const passedOver: PassedOver[] = [];
  for (const file of files) {
    const why = folders.has(file.name) ? "is a folder: drop the photos in it" : whyNoPicture(file.type);
    if (why !== null) passedOver.push({ name: file.name, why });
    else if (pictures.length < MAX_PHOTOS) pictures.push(file);
    else passedOver.push({ name: file.name, why: BEYOND });
  }
  return { pictures, passedOver };
}

/** null for what may be a picture: browsers give types that they do not know no name, as HEIC. */
function whyNoPicture(type: string): string | null {
  if (type === "" || type === "application/octet-stream" || type.startsWith("image/")) return null;
  return type.startsWith("video/") ? "is a video: this page reads photos" : "is not a picture file";
}

/** What a note says of files that are not read; null where all are. */
export function passedOverText({ pictures, passedOver }: Sorted): string | null {
  const beyond = passedOver.filter(({ why }) => why === BEYOND);
  const others = passedOver.filter((file) => !beyond.includes(file));
  const [first] = passedOver;
  if (first === undefined) return null;
  if (passedOver.length === 1 && beyond.length === 0) return `${first.name} ${first.why}.`;
  const sentences = [];
  if (beyond.length > 0) {
    const all = count(pictures.length + beyond.length, "picture");
    sentences.push(`Only the first ${pictures.length} of ${all} are read.`);
  }
  if (others.length > 0) {
    const names = others.slice(0, NAMED).map(({ name }) => name).join(", ");
    const more = others.length > NAMED ? ` and ${others.length - NAMED} more` : "";
    sentences.push(`${count(others.length, "file")} passed over: ${names}${more}.`);
  }
  return sentences.join(" ");
}
