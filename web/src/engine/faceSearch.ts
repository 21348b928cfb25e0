// Faces of any size and pose, as src/mien/runtime/face_search.py finds them, which has the steps in words. The table
// comes from there too, by page.json.

import type { SearchTable } from "../config.ts";
import { brightened } from "./brightness.ts";
import { CloserLook, type FaceNetwork, type Look, scoreOf } from "./closerLook.ts";
import type { EngineConfig } from "./config.ts";
import { cut, type Detection, moved, type Rgba, rint } from "./pixels.ts";
import { fitted, scaled } from "./resize.ts";
import { QUARTERS, type Turn, turned, turnedBack } from "./turning.ts";
import { notOverlapping } from "./yunet.ts";

/** What is asked for: DetectOptions of src/mien/types.py. */
export interface DetectOptions {
  readonly minFace: number;
  readonly minScore: number;
  /** Up to N pixels of the picture's longer side are used; null: every pixel. */
  readonly side: number | null;
  readonly mode: EngineConfig["detect_mode"];
  /** Whether the picture is a frame of a stream: turned pictures are not searched then. */
  readonly stream: boolean;
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

export class FaceSearch {
  readonly #network: FaceNetwork;
  readonly #table: SearchTable;
  readonly #closerLook: CloserLook;

  constructor(network: FaceNetwork, table: SearchTable) {
    this.#network = network;
    this.#table = table;
    this.#closerLook = new CloserLook(network, table);
  }

  /** The faces of a picture, in its pixels, by falling score. */
  async search(picture: Rgba, options: DetectOptions): Promise<Detection[]> {
    const { dark_level, bright_level } = this.#table;
    let image = picture;
    let looks = await this.#looks(image, options);
    if (!looks.some((look) => scoreOf(look.face) >= options.minScore)) {
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
    const isCertain = (look: Look): boolean => scoreOf(look.face) >= options.minScore;
    const certain = looks.filter(isCertain);
    if (certain.length > 0) return QUARTERS.filter((degrees) => certain.some((look) => quarter(look) === degrees));
    const { turned_side } = this.#table;
    const copy = fitted(image, 1, Math.min(options.side ?? turned_side, turned_side));
    const smaller = { ...options, side: null, minFace: (options.minFace * copy.width) / image.width };
    const turns: Turn[] = [];
    for (const degrees of QUARTERS) {
      const upright = (await this.#looks(turned(copy, degrees), smaller)).filter((look) => quarter(look) === 0);
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
        if (scoreOf(face) >= least && size <= level.maxFace) candidates.push({ face, level });
      }
    }
    const inPicture = candidates.map(({ face, level }) => moved(face, 1 / level.across, 1 / level.down));
    const best = notOverlapping(inPicture, table.max_overlap).slice(0, table.max_candidates);
    const looks: Look[] = [];
    for (const [rank, index] of best.entries()) {
      const { face, level } = candidates[index]!;
      const look = await this.#closerLook.at(level.image, face, rank === 0, options.minScore);
      looks.push({ ...look, face: moved(look.face, 1 / level.across, 1 / level.down) });
    }
    return looks.filter((look) => scoreOf(look.face) >= table.min_score);
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
}

/** The turn of a face to the nearest multiple of 90 degrees. */
function quarter({ degrees }: Look): Turn {
  return (((rint(degrees / 90) + 4) % 4) * 90) as Turn;
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
