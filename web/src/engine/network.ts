// onnxruntime-web: its plain WebAssembly build, one thread, in this thread (which is the engine's own worker).

import * as ort from "onnxruntime-web/wasm";
import type { Network } from "./tensors.ts";

/** Set the content of ort-wasm-simd-threaded.wasm, once, before the first network is opened. */
export function prepare(wasm: ArrayBuffer): void {
  ort.env.wasm.wasmBinary = wasm;
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.proxy = false;
  ort.env.logLevel = "error";
}

/** Open an ONNX file; name is its name in errors. */
export async function openNetwork(content: Uint8Array, name: string): Promise<Network> {
  let session: ort.InferenceSession;
  try {
    session = await ort.InferenceSession.create(content, { executionProviders: ["wasm"], logSeverityLevel: 3 });
  } catch (error) {
    throw new Error(`${name} cannot be opened: ${error instanceof Error ? error.message : String(error)}`);
  }
  const [input] = session.inputNames;
  if (session.inputNames.length !== 1 || input === undefined) throw new Error(`${name}: expected one input`);
  return {
    async run({ type, data, shape }) {
      const feed = type === "uint8" ? new ort.Tensor("uint8", data, shape) : new ort.Tensor("float32", data, shape);
      const outputs = await session.run({ [input]: feed });
      feed.dispose();
      const values: Record<string, Float32Array> = {};
      for (const [output, tensor] of Object.entries(outputs)) {
        if (!(tensor.data instanceof Float32Array)) throw new Error(`${name}: expected float32 from ${output}`);
        values[output] = tensor.data;
      }
      return values;
    },
  };
}
