// Builds the package's JavaScript of the page's modules; scripts/npm_package.py runs it, and adds what else is in it.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "rolldown";

const { MIEN_CONFIG: config, MIEN_OUT: dir } = process.env;
if (config === undefined || dir === undefined) throw new Error("run scripts/npm_package.py, which runs this");

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** onnxruntime-web lies in the package as a separate file: bundlers find its wasm by what it says. */
const runtimeBeside: Plugin = {
  name: "runtime-beside",
  resolveId: (id) => (id === "onnxruntime-web/wasm" ? { id: "./ort.wasm.bundle.min.mjs", external: true } : null),
};

export default defineConfig({
  input: { browser: at("src/browser.ts"), node: at("src/node.ts"), worker: at("../src/engine/worker.ts") },
  external: /^node:/,
  plugins: [runtimeBeside],
  transform: { target: "es2022", define: { MIEN_CONFIG: readFileSync(config, "utf8") } },
  output: { dir, format: "esm", entryFileNames: "[name].js", chunkFileNames: "engine-[hash].js" },
});
