import { useEffect, useState } from "preact/hooks";
import { helps, keysOn, openPhotos, readIn, setPicker, step, toggleCamera, toggleMirror, toggleTheme, choosePhotos } from "../actions.ts";
import { failure, photos } from "../photos.ts";
import { save } from "../save.ts";
import { config, finds, loading, place, room, tell, theme, wanted, type Place } from "../state.ts";
import { isLoopback, percent } from "../words.ts";
import { HelpDialog, KeyDialog } from "./Dialogs.tsx";
import { Faces, Emoji } from "./Faces.tsx";
import { Stage } from "./Stage.tsx";
import { Start } from "./Start.tsx";
import { MessageBar, Spoken } from "./Status.tsx";
import { Strip } from "./Strip.tsx";
import { Timeline } from "./Timeline.tsx";
import { Toolbar } from "./Toolbar.tsx";

export function App() {
  const dropping = useDropAndPaste();
  useKeys();
  const settings = config.value;
  return (
    <>
      <Header />
      <main>
        <MessageBar />
        {settings !== null && room.value === "start" && <Start />}
        {room.value !== "start" && (
          <div class="desk">
            <div class="left">
              <Stage />
              {room.value === "photos" && photos.value.length > 1 && <Strip />}
              <Toolbar />
              <Notes />
            </div>
            <Faces />
            {room.value === "camera" && <Timeline />}
          </div>
        )}
      </main>
      <Footer />
      <Spoken />
      <Picker />
      <KeyDialog />
      <HelpDialog />
      {dropping && <p class="drop">Drop to read it</p>}
    </>
  );
}

function Header() {
  return (
    <header class="top">
      <p class="brand">
        <Emoji name="happiness" />
        Mien
      </p>
      <Places />
      <button type="button" class="quiet" aria-label="Help: keys" onClick={() => (helps.value = true)}>
        ?
      </button>
    </header>
  );
}

/** Where pictures are read, and what that means for them. */
function Places() {
  const { host, hostname } = location;
  const here = isLoopback(hostname) ? `${host} (this computer)` : host;
  const fate =
    place.value === "server"
      ? `Pictures are sent to ${here}, processed in memory, never stored.`
      : "Pictures never leave this browser.";
  const option = (which: Place, text: string) => (
    <label>
      <input
        type="radio"
        name="place"
        checked={wanted.value === which}
        onChange={() => void readIn(which)}
      />
      <span>{text}</span>
    </label>
  );
  return (
    <div class="places">
      <fieldset>
        <legend class="unseen">Where pictures are read</legend>
        {option("server", "On this server")}
        {option("browser", "In this browser")}
      </fieldset>
      <p class="fate">{loading.value === null ? fate : `Loading what reads pictures here: ${percent(loading.value)}`}</p>
      {loading.value !== null && <progress class="unseen" value={loading.value} aria-label="Loading" />}
    </div>
  );
}

function Notes() {
  return (
    <>
      {theme.value === "emoji" && (
        <p class="note">Emoji cover the faces that were found. Look the picture over before you share it.</p>
      )}
      {place.value === "browser" && !finds.value && failure.value?.again !== false && (
        <p class="note">
          This service has no face detector for browsers (<code>mien detector yunet</code> on the server gives it one):
          draw a rectangle round each face, from the hairline to the chin.
        </p>
      )}
    </>
  );
}

function Footer() {
  const settings = config.value;
  return (
    <footer class="bottom">
      <p>Mien reads what a face shows, which is not what a person feels.</p>
      <p>
        {settings !== null && (
          <>
            Mien {settings.version} · model {settings.model} ·{" "}
          </>
        )}
        <a href="docs">Interface for programs</a>
      </p>
    </footer>
  );
}

function Picker() {
  return (
    <input
      ref={setPicker}
      type="file"
      accept="image/*"
      multiple
      hidden
      aria-label="Photos"
      onChange={(event) => {
        const files = [...(event.currentTarget.files ?? [])];
        event.currentTarget.value = ""; // so that the same file can be chosen again
        if (files.length > 0) openPhotos(files);
      }}
    />
  );
}

/** Pictures dropped anywhere on the page, or pasted. Returns whether one hovers over it. */
function useDropAndPaste(): boolean {
  const [over, setOver] = useState(false);
  useEffect(() => {
    const onDrag = (event: DragEvent) => {
      event.preventDefault();
      setOver(event.type === "dragover" && (event.dataTransfer?.types.includes("Files") ?? false));
    };
    const onLeave = (event: DragEvent) => {
      if (event.relatedTarget === null) setOver(false);
    };
    const onDrop = (event: DragEvent) => {
      event.preventDefault();
      setOver(false);
      const files = [...(event.dataTransfer?.files ?? [])];
      if (files.length > 0) openPhotos(files);
      else tell("Drop a picture file: what other pages show, this one does not fetch.");
    };
    const onPaste = (event: ClipboardEvent) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (files.length > 0) openPhotos(files);
    };
    document.addEventListener("dragover", onDrag);
    document.addEventListener("dragleave", onLeave);
    document.addEventListener("drop", onDrop);
    document.addEventListener("paste", onPaste);
    return () => {
      document.removeEventListener("dragover", onDrag);
      document.removeEventListener("dragleave", onLeave);
      document.removeEventListener("drop", onDrop);
      document.removeEventListener("paste", onPaste);
    };
  }, []);
  return over;
}

const KEYS: Record<string, () => void> = {
  o: choosePhotos,
  c: () => void toggleCamera(),
  e: toggleTheme,
  m: toggleMirror,
  s: () => void save(),
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
  "?": () => (helps.value = true),
};

function useKeys(): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (!keysOn.value || event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.defaultPrevented) return;
      if (config.value === null || document.querySelector("dialog[open]") !== null) return;
      const target = event.target;
      if (target instanceof HTMLInputElement && target.type !== "checkbox") return;
      if (target instanceof HTMLSelectElement) return;
      const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (act === undefined) return;
      event.preventDefault();
      act();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
}
