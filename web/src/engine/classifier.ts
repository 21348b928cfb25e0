import { FACE_SIZE } from "./crop.ts";
import type { Network } from "./tensors.ts";

const BATCH = 64;
const PIXELS = FACE_SIZE * FACE_SIZE;

/** Classifies faces by a model of Mien's, whose graph holds resizing, normalisation, softmax and temperature. */
export class Classifier {
  readonly #network: Network;
  readonly #classes: number;

  constructor(network: Network, classes: number) {
    this.#network = network;
    this.#classes = classes;
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
    return result;
  }
}
