import { render } from "preact";
import { loadConfig } from "./api.ts";
import { EmojiSheet } from "./emoji.ts";
import { putUp, takeDown } from "./notes.ts";
import { configure, emoji, errorText } from "./state.ts";
import "./styles/index.css";
import { App } from "./view/App.tsx";

const RETRY_MS = 3000;

/** Loads page.json, again and again until the service responds. */
async function start(): Promise<void> {
  try {
    const settings = await loadConfig();
    emoji.value = await EmojiSheet.load(settings.classes, settings.colors);
    configure(settings);
    takeDown("service");
  } catch (error) {
    putUp("service", errorText(error));
    setTimeout(() => void start(), RETRY_MS);
  }
}

const root = document.getElementById("app");
if (root !== null) render(<App />, root);
void start();
