import { render } from "preact";
import { loadConfig } from "./api.ts";
import { EmojiSheet } from "./emoji.ts";
import { config, emoji, errorText, message, showMessage } from "./state.ts";
import "./style.css";
import { App } from "./view/App.tsx";

const RETRY_MS = 3000;

/** Loads page.json, again and again until the service responds. */
async function start(): Promise<void> {
  try {
    const settings = await loadConfig();
    emoji.value = await EmojiSheet.load(settings.classes, settings.colors);
    config.value = settings;
    message.value = null;
  } catch (error) {
    showMessage(errorText(error));
    setTimeout(() => void start(), RETRY_MS);
  }
}

const root = document.getElementById("app");
if (root !== null) render(<App />, root);
void start();
