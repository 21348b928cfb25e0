import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const PAGE = at("../src/mien/service/page");

/** Files that are served under fixed names: Swagger UI for /docs, and the icon of the manifest. */
const COPIED = {
  "assets/swagger-ui-bundle.js": at("node_modules/swagger-ui-dist/swagger-ui-bundle.js"),
  "assets/swagger-ui.css": at("node_modules/swagger-ui-dist/swagger-ui.css"),
  "assets/icon.svg": at("../src/mien/assets/emoji/happiness.svg"),
};

function copied(): Plugin {
  return {
    name: "copied",
    apply: "build",
    generateBundle() {
      for (const [fileName, path] of Object.entries(COPIED)) {
        this.emitFile({ type: "asset", fileName, source: readFileSync(path) });
      }
    },
  };
}

/** Every file is kept gzipped and only so: the service sends it as it is. */
function gzipped(): Plugin {
  return {
    name: "gzipped",
    apply: "build",
    closeBundle() {
      for (const entry of readdirSync(PAGE, { recursive: true, withFileTypes: true })) {
        const path = join(entry.parentPath, entry.name);
        if (!entry.isFile() || path.endsWith(".gz")) continue;
        writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
        rmSync(path);
      }
    },
  };
}

const SERVICE = "http://127.0.0.1:8000";
/** As if the service's own page asked: it answers no page of another origin. */
const proxied = { target: SERVICE, ws: true, changeOrigin: true, headers: { origin: SERVICE } };

export default defineConfig({
  base: "./",
  plugins: [copied(), gzipped()],
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  worker: { format: "es" },
  build: {
    outDir: PAGE,
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1000,
    rolldownOptions: {
      input: { index: at("index.html"), engine: at("src/engine/index.ts") },
      preserveEntrySignatures: "strict",
      output: {
        entryFileNames: (chunk) => (chunk.name === "engine" ? "assets/engine.js" : "assets/[name]-[hash].js"),
      },
    },
  },
  server: {
    host: "127.0.0.1",
    fs: { allow: [at(".."), at(".")] },
    proxy: {
      "/v1": proxied,
      "/page.json": proxied,
      "/engine": proxied,
      "/docs": proxied,
      "/openapi.json": proxied,
    },
  },
});
