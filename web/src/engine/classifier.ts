import { FACE_SIZE } from "./crop.ts";
import type { Network } from "./tensors.ts";

const BATCH = 64;
const PIXELS = FACE_SIZE * FACE_SIZE;

/** Classifies faces by a model of Mien's, whose graph holds resizing, normalisation, softmax and temperature. */
export class Classifier {
  readonly #network: Network;
  readonly #classes: number;
  readonly #priorWeights: readonly number[] | null;

  /** priorWeights: by class, the prior over that of the training data; null: the same. */
  constructor(network: Network, classes: number, priorWeights: readonly number[] | null = null) {
    this.#network = network;
    this.#classes = classes;
    this.#priorWeights = priorWeights;
  }

  /** Probabilities (N, classes) of faces (N, 48, 48), grey 0..255; at most 64 are classified at once. */
  async probabilities(faces: Uint8Array): Promise<Float32Array> {
    if (faces.length % PIXELS !== 0) throw new Error(`expected faces of ${PIXELS} bytes each, got ${faces.length}`);
    const count = faces.length / PIXELS;
    const result = new Float32Array(count * this.#classes);
    for (let start = 0; start < count; start += BATCH) {
      const size = Math.min(BATCH, count - start);
      const data = faces.slice(start * PIXELS, (start + size) * PIXELS);
      const shape = [size, 1, FACE_SIZE, FACE_SIZE];
      const { probabilities } = await this.#network.run({ type: "uint8", data, shape });
      if (probabilities?.length !== size * this.#classes) {
        throw new Error(`expected probabilities of ${this.#classes} classes from the model`);
      }
      result.set(probabilities, start * this.#classes);
    }
    if (this.#priorWeights === null) return result;
    for (let start = 0; start < result.length; start += this.#classes) {
      reweight(result.subarray(start, start + this.#classes), this.#priorWeights);
    }
    return result;
  }
}

/** Changes the probabilities of one face to those of another prior; src/mien/runtime/prior.py says how and why. */
function reweight(row: Float32Array, weights: readonly number[]): void {
  const raised = weights.map((weight, index) => weight * row[index]!);
  const total = raised.reduce((sum, value) => sum + value, 0);
  if (total > 0 && row.some((value) => value !== row[0])) row.set(raised.map((value) => value / total));
}
