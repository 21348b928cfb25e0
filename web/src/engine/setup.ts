// From the content of files to an analyzer that is ready.

import { Analyzer } from "./analyzer.ts";
import { Classifier } from "./classifier.ts";
import type { EngineConfig } from "./config.ts";
import { FACE_SIZE } from "./crop.ts";
import { FaceSearch } from "./faceSearch.ts";
import { openNetwork, prepare } from "./network.ts";
import { YuNet } from "./yunet.ts";

/** The files that the engine runs. */
export interface EngineContent {
  /** ort-wasm-simd-threaded.wasm of onnxruntime-web. */
  readonly wasm: ArrayBuffer;
  readonly model: Uint8Array;
  /** YuNet; null: the user marks the faces. */
  readonly detector: Uint8Array | null;
}

/** Opens the networks and runs each once, so that nothing is set up later. */
export async function setUp({ wasm, model, detector }: EngineContent, config: EngineConfig): Promise<Analyzer> {
  prepare(wasm);
  const classifier = new Classifier(await openNetwork(model, "the model"), config.classes.length, config.prior_weights);
  await classifier.probabilities(new Uint8Array(FACE_SIZE * FACE_SIZE));
  if (detector === null) return new Analyzer(config, classifier, null);
  const { thorough_candidate_score, max_overlap } = config.search;
  const yunet = new YuNet(await openNetwork(detector, "the face detector"), thorough_candidate_score, max_overlap);
  await yunet.detect({ data: new Uint8Array(160 * 120 * 4), width: 160, height: 120 });
  return new Analyzer(config, classifier, new FaceSearch(yunet, config.search));
}
