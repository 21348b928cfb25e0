// Smooths a stream's probabilities. src/mien/tracking/smoothing.py has the rule in words and the source of its numbers.

const EVIDENCE_S = 0.2;
const WINDOW_S = 0.3;
const FORGET_S = 2;
/** The margin of the class shown over the classes that it is levelled with. */
const MARGIN = 1e-3;

interface Track {
  average: number[];
  shown: number;
  /** In seconds, of each class against the one shown. */
  sums: number[];
  timeS: number;
}

/** Smooths the probabilities of the faces of one stream, each track by itself. */
export class Smoother {
  readonly #tracks = new Map<number, Track>();

  /**
   * The smoothed probabilities of a track, whose likeliest class is the one to show. row has the probabilities of the
   * frame at timeS seconds. Times may not fall from call to call.
   */
  smooth(track: number, row: Float32Array, timeS: number): Float32Array {
    for (const [id, known] of this.#tracks) {
      if (timeS - known.timeS >= FORGET_S) this.#tracks.delete(id);
    }
    const known = this.#tracks.get(track);
    if (known === undefined) {
      this.#tracks.set(track, { average: [...row], shown: likeliest(row), sums: Array(row.length).fill(0), timeS });
      return row.slice();
    }
    const seconds = timeS - known.timeS;
    const keep = Math.exp(-seconds / WINDOW_S);
    const shown = row[known.shown]!;
    known.average = known.average.map((value, index) => keep * value + (1 - keep) * row[index]!);
    known.sums = known.sums.map((sum, index) => Math.max(0, sum + seconds * (row[index]! - shown)));
    const leader = likeliest(known.sums);
    if (known.sums[leader]! > EVIDENCE_S) {
      known.shown = leader;
      known.sums.fill(0);
    }
    known.timeS = timeS;
    return withLikeliest(known.shown, known.average);
  }
}

/** The index of the largest value, the first of equal ones. */
export function likeliest(values: ArrayLike<number>): number {
  let best = 0;
  for (let index = 1; index < values.length; index += 1) if (values[index]! > values[best]!) best = index;
  return best;
}

/** The distribution nearest to an average in which the class shown is the likeliest. */
function withLikeliest(shown: number, average: readonly number[]): Float32Array {
  const same = Float32Array.from(average);
  if (likeliest(same) === shown) return same;
  let level = average[shown]!;
  let count = 1;
  for (const value of average.toSorted((one, other) => other - one)) {
    if (value <= level) break;
    level = (level * count + value) / (count + 1);
    count += 1;
  }
  const result = Float32Array.from(average, (value) => (1 - MARGIN) * Math.min(value, level));
  result[shown] = (1 - MARGIN) * level + MARGIN;
  return result;
}
