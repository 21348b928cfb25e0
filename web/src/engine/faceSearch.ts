// Faces of any size and pose, as src/mien/runtime/face_search.py finds them, which has the steps in words. The table
// comes from there too, by page.json.

import type { PageConfig, SearchTable } from "../record.ts";
import { brightened } from "./brightness.ts";
import { clamp, cut, type Detection, moved, overlap, type Point, type Rgba, type Turn, turned } from "./pixels.ts";
import { fitted, scaled } from "./resize.ts";
import { notOverlapping } from "./yunet.ts";

/** What is asked for: DetectOptions of src/mien/types.py. */
export interface DetectOptions {
  readonly minFace: number;
  readonly minScore: number;
  /** Up to N pixels of the picture's longer side are used; null: every pixel. */
  readonly side: number | null;
  readonly mode: PageConfig["detect_mode"];
  /** Whether the picture is a frame of a stream: turned pictures are not searched then. */
  readonly stream: boolean;
}

/** What the search needs of YuNet: all detections of a picture, by falling score. */
export interface FaceNetwork {
  detect(image: Rgba): Promise<Detection[]>;
}

/** A copy of the picture, `across` times as wide and `down` times as high. */
interface Level {
  readonly image: Rgba;
  readonly across: number;
  readonly down: number;
  /** Whether a face that fills it is small enough for the network. */
  readonly isLast: boolean;
  /** Larger faces are the next level's; on the last one they are no faces. */
  readonly maxFace: number;
}

/** A detection in pixels of its level. */
interface Candidate {
  readonly face: Detection;
  readonly level: Level;
}

/** A face after its closer look, and by how many degrees clockwise its cut was turned to show it upright. */
interface Look {
  readonly face: Detection;
  readonly degrees: Turn;
}

const TURNS = [90, 180, 270] as const;

export class FaceSearch {
  readonly #network: FaceNetwork;
  readonly #table: SearchTable;

  constructor(network: FaceNetwork, table: SearchTable) {
    this.#network = network;
    this.#table = table;
  }

  /** The faces of a picture, in its pixels, by falling score. */
  async search(picture: Rgba, options: DetectOptions): Promise<Detection[]> {
    const { dark_level, bright_level } = this.#table;
    let image = picture;
    let looks = await this.#looks(image, options);
    if (!looks.some((look) => score(look.face) >= options.minScore)) {
      image = brightened(picture, dark_level, bright_level);
      if (image !== picture) looks = await this.#looks(image, options);
    }
    const found = looks.map((look) => look.face);
    for (const degrees of options.stream ? [] : await this.#turnsToSearch(looks, image, options)) {
      for (const { face } of await this.#looks(turned(image, degrees), options)) {
        found.push(turnedBack(face, degrees, image));
      }
    }
    return notOverlapping(found, this.#table.max_overlap).map((index) => found[index]!);
  }

  /** The turns of the faces that were found, or, where none was, those in which a smaller copy shows a face. */
  async #turnsToSearch(looks: readonly Look[], image: Rgba, options: DetectOptions): Promise<Turn[]> {
    const isCertain = (look: Look): boolean => score(look.face) >= options.minScore;
    const certain = looks.filter(isCertain);
    if (certain.length > 0) return TURNS.filter((degrees) => certain.some((look) => look.degrees === degrees));
    const { turned_side } = this.#table;
    const copy = fitted(image, 1, Math.min(options.side ?? turned_side, turned_side));
    const smaller = { ...options, side: null, minFace: (options.minFace * copy.width) / image.width };
    const turns: Turn[] = [];
    for (const degrees of TURNS) {
      const upright = (await this.#looks(turned(copy, degrees), smaller)).filter((look) => look.degrees === 0);
      if (upright.some(isCertain)) turns.push(degrees);
    }
    return turns;
  }

  /** The faces of a picture that are upright, and those of the turned ones that look like faces nevertheless. */
  async #looks(image: Rgba, options: DetectOptions): Promise<Look[]> {
    const table = this.#table;
    const least = options.mode === "thorough" ? table.thorough_candidate_score : table.candidate_score;
    const candidates: Candidate[] = [];
    for (const level of this.#levels(image, detail(image.width, image.height, options, table))) {
      for (const face of await this.#inTiles(level)) {
        const size = Math.max(face.box.width, face.box.height);
        if (score(face) >= least && size <= level.maxFace) candidates.push({ face, level });
      }
    }
    const inPicture = candidates.map(({ face, level }) => moved(face, 1 / level.across, 1 / level.down));
    const best = notOverlapping(inPicture, table.max_overlap).slice(0, table.max_candidates);
    const looks: Look[] = [];
    for (const [rank, index] of best.entries()) looks.push(await this.#closer(candidates[index]!, rank === 0));
    return looks.filter((look) => score(look.face) >= table.min_score);
  }

  /** The copies of the picture that the network sees, the largest first. */
  *#levels(image: Rgba, scale: number): Generator<Level> {
    const { level_side, level_ratio, max_face } = this.#table;
    let copy = scaled(image, scale);
    for (;;) {
      const isLast = Math.min(copy.width, copy.height) <= level_side;
      const maxFace = isLast ? 2 * Math.max(copy.width, copy.height) : max_face;
      yield { image: copy, across: copy.width / image.width, down: copy.height / image.height, isLast, maxFace };
      if (isLast) return;
      copy = scaled(copy, 1 / level_ratio);
    }
  }

  /** The detections on a level. One that a tile cuts off is left out: it is whole in the next tile or level. */
  async #inTiles({ image, isLast }: Level): Promise<Detection[]> {
    const least = isLast ? this.#table.level_side : this.#table.tile_overlap;
    const found: Detection[] = [];
    for (const [top, bottom] of spans(image.height, least, this.#table.tile)) {
      for (const [left, right] of spans(image.width, least, this.#table.tile)) {
        for (const face of await this.#network.detect(cut(image, left, top, right, bottom))) {
          const whole = moved(face, 1, 1, left, top);
          const { x, y, width, height } = whole.box;
          if (
            (left === 0 || x > left + 1) &&
            (top === 0 || y > top + 1) &&
            (right === image.width || x + width < right - 1) &&
            (bottom === image.height || y + height < bottom - 1)
          ) {
            found.push(whole);
          }
        }
      }
    }
    return found;
  }

  /** The candidate as its surroundings show it; score 0 where they show no face. isBest: the picture's first one. */
  async #closer({ face, level }: Candidate, isBest: boolean): Promise<Look> {
    const table = this.#table;
    const { box } = face;
    const size = Math.max(box.width, box.height);
    const reach = (size * table.look_side) / table.look_face / 2;
    const x = box.x + box.width / 2;
    const y = box.y + box.height / 2;
    const left = clamp(Math.floor(x - reach), 0, level.image.width - 1);
    const top = clamp(Math.floor(y - reach), 0, level.image.height - 1);
    const [right, bottom] = [Math.max(Math.ceil(x + reach), left + 1), Math.max(Math.ceil(y + reach), top + 1)];
    const patch = cut(level.image, left, top, right, bottom);
    const whole = scaled(patch, table.look_face / size);
    const [across, down] = [patch.width / whole.width, patch.height / whole.height];
    const view = cut(whole, 0, 0, Math.min(whole.width, table.look_side), Math.min(whole.height, table.look_side));

    const look = async (degrees: Turn): Promise<Look> => {
      let best: Detection = { ...face, score: 0 };
      for (const hit of await this.#network.detect(turned(view, degrees))) {
        const here = moved(turnedBack(hit, degrees, view), across, down, left, top);
        if (score(here) > score(best) && overlap(here.box, box) > table.max_overlap) best = here;
      }
      return { face: best, degrees };
    };

    let best = await look(0);
    for (const degrees of this.#turnsToTry(score(face), score(best.face), isBest)) {
      const other = await look(degrees);
      if (score(other.face) > score(best.face)) best = other;
    }
    // The first look saw a large face in more detail.
    const isFirst = best.degrees === 0 && size >= table.look_face && overlap(best.face.box, box) >= table.same_overlap;
    const seen = isFirst ? { ...face, score: best.face.score } : best.face;
    return { face: moved(seen, 1 / level.across, 1 / level.down), degrees: best.degrees };
  }

  /** The turns in which a face may have a higher score than upright, by the scores of its first and closer look. */
  #turnsToTry(first: number, closer: number, isBest: boolean): readonly Turn[] {
    const { upright_score, turn_score, surely_upright_score } = this.#table;
    if (closer < upright_score) return first >= turn_score ? TURNS : [];
    return isBest && closer < surely_upright_score ? [180] : [];
  }
}

/** How many times the picture is enlarged for the first level. */
export function detail(width: number, height: number, options: DetectOptions, table: SearchTable): number {
  const longer = Math.max(width, height);
  const isThorough = options.mode === "thorough";
  const wanted = isThorough ? table.thorough_detail : table.full_detail;
  const most = isThorough ? table.thorough_max_pixels : table.max_pixels;
  let scale = Math.min(wanted / Math.max(options.minFace, 1), isThorough ? 2 : 1);
  scale = Math.min(scale, Math.sqrt(most / (width * height)));
  if (options.side !== null) scale = Math.min(scale, options.side / longer);
  return Math.max(scale, table.min_side / longer);
}

/** Equal parts of a side, of at most `tile` pixels, that overlap by at least this many: their beginnings and ends. */
export function spans(length: number, least: number, tile: number): [number, number][] {
  if (length <= tile) return [[0, length]];
  const count = Math.ceil((length - least) / (tile - least));
  const size = Math.ceil((length + (count - 1) * least) / count);
  return Array.from({ length: count }, (_, index) => {
    const start = Math.floor(((length - size) * index) / (count - 1));
    return [start, start + size];
  });
}

function score(face: Detection): number {
  return face.score ?? 0;
}

/** A detection in a picture that was turned clockwise, in pixels of the picture as it was. */
function turnedBack(face: Detection, degrees: Turn, { width, height }: Rgba): Detection {
  if (degrees === 0) return face;
  const { box } = face;
  const back = ({ x, y }: Point): Point => {
    if (degrees === 90) return { x: y, y: height - x };
    if (degrees === 180) return { x: width - x, y: height - y };
    return { x: width - y, y: x };
  };
  const middle = back({ x: box.x + box.width / 2, y: box.y + box.height / 2 });
  const [across, down] = degrees === 180 ? [box.width, box.height] : [box.height, box.width];
  return {
    box: { x: middle.x - across / 2, y: middle.y - down / 2, width: across, height: down },
    score: face.score,
    landmarks: face.landmarks && face.landmarks.map(back),
  };
}
