import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const PAGE = at("../src/mien/service/page");

/** Files with fixed names: Swagger UI for /docs, and the manifest's icon. */
const COPIED = {
  "assets/swagger-ui-bundle.js": at("node_modules/swagger-ui-dist/swagger-ui-bundle.js"),
  "assets/swagger-ui.css": at("node_modules/swagger-ui-dist/swagger-ui.css"),
  "assets/icon.svg": at("../src/mien/assets/emoji/happiness.svg"),
};

/** The licenses of what is built, one text. */
function licenses(): string {
  const paths = {
    Mien: at("../LICENSE"),
    Preact: at("node_modules/preact/LICENSE"),
    "@preact/signals": at("node_modules/@preact/signals/LICENSE"),
  };
  const rule = "=".repeat(80);
  return Object.entries(paths)
    .map(([name, path]) => `${rule}\n${name}\n${rule}\n\n${readFileSync(path, "utf8")}`)
    .join("\n");
}

function copied(): Plugin {
  return {
    name: "copied",
    apply: "build",
    generateBundle() {
      for (const [fileName, path] of Object.entries(COPIED)) {
        this.emitFile({ type: "asset", fileName, source: readFileSync(path) });
      }
      this.emitFile({ type: "asset", fileName: "assets/licenses.txt", source: licenses() });
    },
  };
}

/** Replaces every file by its gzipped form, which the service sends as it is. */
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
/** The service refuses pages of other origins, so the proxy sends the service's own. */
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
