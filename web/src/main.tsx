import { render } from "preact";
import { loadConfig } from "./api.ts";
import { EmojiSheet } from "./emoji.ts";
import { config, emoji, message, tell, words } from "./state.ts";
import "./style.css";
import { App } from "./view/App.tsx";

const RETRY_MS = 3000;

/** Asks the service what it is, until it answers. */
async function start(): Promise<void> {
  try {
    const settings = await loadConfig();
    emoji.value = await EmojiSheet.load(settings.classes, settings.colors);
    config.value = settings;
    message.value = null;
  } catch (error) {
    tell(words(error));
    setTimeout(() => void start(), RETRY_MS);
  }
}

const root = document.getElementById("app");
if (root !== null) render(<App />, root);
void start();
