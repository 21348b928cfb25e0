import { useEffect, useState } from "preact/hooks";
import {
  choosePhotos, helpOpen, keysOn, openPhotos, refuseDrop, setBackend, setPicker, step, toggleCamera, toggleMirror,
  toggleCovering,
} from "../actions.ts";
import { failure, photos } from "../photos.ts";
import { save } from "../save.ts";
import { shortcoming } from "../draw.ts";
import { backend, canDetect, config, covering, coverWith, loading, record, view, wantedBackend, type Backend } from "../state.ts";
import { isLoopback, percent } from "../format.ts";
import { HelpDialog, KeyDialog } from "./Dialogs.tsx";
import { Account } from "./Account.tsx";
import { Emoji } from "./Card.tsx";
import { ExplainDialog } from "./Explain.tsx";
import { Faces } from "./Faces.tsx";
import { Stage } from "./Stage.tsx";
import { Start } from "./Start.tsx";
import { NoteBar } from "./NoteBar.tsx";
import { Announcer } from "./Status.tsx";
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
        <NoteBar />
        {settings !== null && view.value === "start" && <Start />}
        {view.value !== "start" && (
          <div class="workspace">
            <div class="left">
              <Stage />
              {view.value === "photos" && photos.value.length > 1 && <Strip />}
              {view.value === "photos" && <Account />}
              <Toolbar />
              <Notes />
            </div>
            <Faces />
            {view.value === "camera" && <Timeline />}
          </div>
        )}
      </main>
      <Footer />
      <Announcer />
      <Picker />
      <KeyDialog />
      <HelpDialog />
      <ExplainDialog />
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
      <BackendSwitch />
      <button type="button" class="quiet" aria-label="Help: keys" onClick={() => (helpOpen.value = true)}>
        ?
      </button>
    </header>
  );
}

/** The choice of the backend, where there is one, and what it means for the user's pictures. */
function BackendSwitch() {
  const settings = config.value;
  if (settings === null) return <div class="backends" />;
  const { host, hostname } = location;
  const service = isLoopback(hostname) ? `${host} (this computer)` : host;
  const privacy =
    backend.value === "server"
      ? `Pictures are sent to ${service}, processed in memory, never stored.`
      : "Pictures never leave this browser.";
  const option = (which: Backend, text: string) => (
    <label>
      <input
        type="radio"
        name="backend"
        checked={wantedBackend.value === which}
        onChange={() => void setBackend(which)}
      />
      <span>{text}</span>
    </label>
  );
  return (
    <div class="backends">
      {settings.service !== null && (
        <fieldset>
          <legend class="unseen">Where pictures are read</legend>
          {option("server", "On this server")}
          {option("browser", "In this browser")}
        </fieldset>
      )}
      <p class="privacy">{loading.value === null ? privacy : `Loading the engine: ${percent(loading.value)}`}</p>
      {loading.value !== null && <progress class="unseen" value={loading.value} aria-label="Loading" />}
    </div>
  );
}

function Notes() {
  const faces = record.value?.faces.length;
  const words = view.value === "photos" && faces !== undefined ? shortcoming(faces, config.value?.max_faces ?? null) : null;
  return (
    <>
      {covering.value && (
        <p class="note">
          {words === null
            ? "The faces that were detected are covered. Check the picture before you share it."
            : faces === 0
              ? "No face was found, so there is nothing to cover: the picture is shown and saved blurred."
              : `No more than ${faces} of the faces in a picture are reported here, and others would stay bare: the picture is shown and saved blurred.`}
          {words === null && coverWith.value !== "emoji" && " An emoji leaves nothing of a face; a blur or pixels leave its rough colors."}
        </p>
      )}
      {backend.value === "browser" && !canDetect.value && failure.value?.canRetry !== false && (
        <p class="note">
          There is no face detector here (<code>mien detector yunet</code> on the server installs one, before{" "}
          <code>{config.value?.service === null ? "mien page" : "mien serve"}</code>). Draw a rectangle round each face, from the hairline to the chin.
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
            {settings.service === null ? (
              <a href="assets/licenses.txt">Licenses</a>
            ) : (
              <a href="docs">Interface for programs</a>
            )}
          </>
        )}
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

/** Opens pictures dropped anywhere on the page, or pasted. Returns whether one is dragged over the page. */
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
      if (files.length > 0) openPhotos(files, droppedFolders(event));
      else refuseDrop();
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

function droppedFolders(event: DragEvent): Set<string> {
  const entries = [...(event.dataTransfer?.items ?? [])].map((item) => item.webkitGetAsEntry());
  return new Set(entries.flatMap((entry) => (entry?.isDirectory ? [entry.name] : [])));
}

const KEYS: Record<string, () => void> = {
  o: choosePhotos,
  c: () => void toggleCamera(),
  e: toggleCovering,
  m: toggleMirror,
  s: () => void save(),
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
  "?": () => (helpOpen.value = true),
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
