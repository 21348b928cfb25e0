// A second look at a detection, as in src/mien/runtime/closer_look.py, which has its steps in words.

import type { SearchTable } from "../config.ts";
import type { Box } from "../record.ts";
import { LEAST_ROLL, shownRoll } from "./headRoll.ts";
import { clamp, cut, type Detection, moved, overlap, type Point, type Rgba, rint } from "./pixels.ts";
import { scaled } from "./resize.ts";
import { QUARTERS, type Turn, turned, turnedBack, turnedUpright } from "./turning.ts";

/** What the search needs of YuNet: all detections of a picture, by falling score. */
export interface FaceNetwork {
  detect(image: Rgba): Promise<Detection[]>;
}

/** A face after its closer look, and by how many degrees clockwise the cut that showed it best was turned. */
export interface Look {
  readonly face: Detection;
  readonly degrees: number;
}

/** A face's surroundings, from (left, top) of the picture on, `across` times as wide and `down` times as high. */
interface Copy {
  readonly image: Rgba;
  readonly across: number;
  readonly down: number;
  readonly left: number;
  readonly top: number;
}

/** The sizes in pixels of the face and of its copy. */
interface Sizes {
  readonly face: number;
  readonly side: number;
}

export class CloserLook {
  readonly #network: FaceNetwork;
  readonly #table: SearchTable;

  constructor(network: FaceNetwork, table: SearchTable) {
    this.#network = network;
    this.#table = table;
  }

  /**
   * The face as its surroundings show it; score 0 where they show none. isBest: the picture's most confident one. What
   * has a lower score than minScore is not straightened.
   */
  async at(image: Rgba, face: Detection, isBest: boolean, minScore: number): Promise<Look> {
    const table = this.#table;
    const { box } = face;
    const size = Math.max(box.width, box.height);
    const sizes = { face: table.look_face, side: table.look_side };
    const copy = copyOf(image, box, table.look_face, table.look_side / 2);
    let best: Look = { face: (await this.#byQuarters(copy, face, 0)) ?? { ...face, score: 0 }, degrees: 0 };
    for (const degrees of this.#turnsToTry(size, scoreOf(face), scoreOf(best.face), isBest)) {
      const other =
        degrees % 90 === 0
          ? await this.#byQuarters(copy, face, degrees as Turn)
          : await this.#turnedBy(image, face, -degrees, sizes);
      if (other !== null && this.#showsItBetter(other, best.face)) {
        best = { face: other, degrees };
        if (scoreOf(other) >= table.upright_score) break;
      }
    }
    let least = table.least_lean;
    let seen = best.face;
    if (best.degrees === 0 && size >= table.look_face && overlap(seen.box, box) >= table.same_overlap) {
      // The first look saw it in more detail, and a large face's lean rightly.
      seen = { ...face, score: seen.score };
      if (size >= table.roll_face) least = LEAST_ROLL;
    }
    if (scoreOf(seen) >= minScore) seen = await this.#straightened(image, seen, least);
    return { face: seen, degrees: best.degrees };
  }

  /**
   * The turns in which a face may have a higher score than upright, by its size in pixels and the scores of its first and
   * closer look.
   */
  #turnsToTry(size: number, first: number, closer: number, isBest: boolean): readonly number[] {
    const table = this.#table;
    const { upright_score, surely_upright_score } = table;
    if (closer < upright_score) {
      const oblique = [table.oblique_turn, -table.oblique_turn];
      if (first >= table.turn_score) return [...oblique, ...QUARTERS];
      return first >= table.oblique_score && size >= table.full_detail ? oblique : [];
    }
    return isBest && closer < surely_upright_score ? [180] : [];
  }

  /** Whether a turn shows a face better than smaller turns do: as an upright face, or by far. */
  #showsItBetter(other: Detection, before: Detection): boolean {
    const { upright_score, turn_gain } = this.#table;
    return scoreOf(other) > scoreOf(before) + (scoreOf(other) >= upright_score ? 0 : turn_gain);
  }

  /** The face as the network sees it in the copy, turned clockwise by a multiple of 90 degrees; null if it does not. */
  async #byQuarters(copy: Copy, face: Detection, degrees: Turn): Promise<Detection | null> {
    const side = this.#table.look_side;
    const { width, height } = copy.image;
    const view = cut(copy.image, 0, 0, Math.min(width, side), Math.min(height, side));
    const hits = await this.#network.detect(turned(view, degrees));
    return this.#same(hits.map((hit) => inPicture(turnedBack(hit, degrees, view), copy)), face);
  }

  /**
   * The face as the network sees it in a copy that is turned so that a face of this roll stands upright; null if it
   * does not. The box is about the face's centre and as large as upright.
   */
  async #turnedBy(image: Rgba, face: Detection, roll: number, { face: wanted, side }: Sizes): Promise<Detection | null> {
    const copy = copyOf(image, face.box, wanted, 0.71 * side + 1);
    const middle = centre(face.box);
    // By whole pixels and degrees it turns exactly as far as Python, whose numbers differ in their last digits.
    const x = rint((middle.x - copy.left) * copy.across);
    const y = rint((middle.y - copy.top) * copy.down);
    const degrees = rint(roll);
    const inner = side - 4;
    const square = { x: x - inner / 2, y: y - inner / 2, width: inner, height: inner };
    const view = turnedUpright(copy.image, square, degrees).image;
    const cos = Math.cos((degrees * Math.PI) / 180);
    const sin = Math.sin((degrees * Math.PI) / 180);
    const back = (point: Point): Point => {
      const [a, b] = [point.x - side / 2, point.y - side / 2];
      return { x: x + cos * a - sin * b, y: y + sin * a + cos * b };
    };
    const hits = (await this.#network.detect(view)).map((hit) => {
      const box = rolledBox(hit.box, back(centre(hit.box)), degrees);
      return inPicture({ box, score: hit.score, landmarks: hit.landmarks && hit.landmarks.map(back) }, copy);
    });
    return this.#same(hits, face);
  }

  /**
   * The face with the box and the landmarks of the look that shows it upright; itself if it leans by less than `least`
   * degrees, as its landmarks show, or by less than LEAST_ROLL in truth, or if such a look does not show it.
   */
  async #straightened(image: Rgba, face: Detection, least: number): Promise<Detection> {
    const { roll_face, roll_side, roll_looks, roll_step } = this.#table;
    if (face.landmarks === null) return face;
    const first = shownRoll(face.landmarks);
    if (!leans(first, least)) return face;
    let roll = first;
    let seen = face;
    for (let count = 0; count < roll_looks; count += 1) {
      const other = await this.#turnedBy(image, seen, roll, { face: roll_face, side: roll_side });
      if (other === null || other.landmarks === null) return face;
      const before = roll;
      seen = other;
      roll = shownRoll(other.landmarks);
      if (!leans(first, LEAST_ROLL) && !leans(roll, LEAST_ROLL)) return face;
      if (Math.abs(remainder(roll - before, 360)) < roll_step) break;
    }
    return { ...seen, score: Math.min(scoreOf(face), scoreOf(seen)) };
  }

  /** The most confident of the detections that overlap the face. */
  #same(found: readonly Detection[], face: Detection): Detection | null {
    let best: Detection | null = null;
    for (const one of found) {
      if (overlap(one.box, face.box) <= this.#table.max_overlap) continue;
      if (best === null || scoreOf(one) > scoreOf(best)) best = one;
    }
    return best;
  }
}

/** 0 where it has none. */
export function scoreOf(face: Detection): number {
  return face.score ?? 0;
}

/** The surroundings of a box in a picture, scaled to a box of `wanted` pixels, up to `reach` of them on each side. */
function copyOf(image: Rgba, box: Box, wanted: number, reach: number): Copy {
  const size = Math.max(box.width, box.height);
  const around = reach * (size / wanted);
  const { x, y } = centre(box);
  const left = clamp(Math.floor(x - around), 0, image.width - 1);
  const top = clamp(Math.floor(y - around), 0, image.height - 1);
  const [right, bottom] = [Math.max(Math.ceil(x + around), left + 1), Math.max(Math.ceil(y + around), top + 1)];
  const patch = cut(image, left, top, right, bottom);
  const copy = scaled(patch, wanted / size);
  return { image: copy, across: copy.width / patch.width, down: copy.height / patch.height, left, top };
}

function inPicture(found: Detection, { across, down, left, top }: Copy): Detection {
  return moved(found, 1 / across, 1 / down, left, top);
}

/**
 * The box of a face that is `box` when it stands upright, about this centre, rolled by some degrees: the side along the
 * face keeps its length, the other one grows up to it.
 */
function rolledBox(box: Box, { x, y }: Point, roll: number): Box {
  const along = box.height;
  const across = box.width + (along - box.width) * Math.sin((2 * roll * Math.PI) / 180) ** 2;
  const [width, height] = rint(roll / 90) % 2 === 0 ? [across, along] : [along, across];
  return { x: x - width / 2, y: y - height / 2, width, height };
}

/** Whether a face is off the nearest multiple of 90 degrees by so many. */
function leans(roll: number, least: number): boolean {
  return Math.abs(remainder(roll, 90)) >= least;
}

function remainder(value: number, divisor: number): number {
  return value - divisor * rint(value / divisor);
}

function centre(box: Box): Point {
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
}
