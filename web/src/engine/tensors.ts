/** A network's input. */
export type Input =
  | { readonly type: "uint8"; readonly data: Uint8Array; readonly shape: readonly number[] }
  | { readonly type: "float32"; readonly data: Float32Array; readonly shape: readonly number[] };

/** A network of one input that is ready to run; network.ts makes them. The outputs are keyed by name. */
export interface Network {
  run(input: Input): Promise<Record<string, Float32Array>>;
}
