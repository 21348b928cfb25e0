import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { helpOpen, keysOn, setKeys } from "../actions.ts";
import { keyRequest } from "../api.ts";

const KEYS = [
  ["O", "open photos"],
  ["C", "camera on and off"],
  ["E", "cover faces"],
  ["M", "mirror the camera's picture"],
  ["S", "save as PNG"],
  ["← →", "previous photo, next photo"],
  ["?", "this list"],
] as const;

interface DialogContent {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  wide?: boolean;
}

export function Dialog({ title, onClose, children, wide = false }: DialogContent) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class={wide ? "wide" : ""} aria-labelledby="dialog-title" onClose={onClose}>
      <h2 id="dialog-title">{title}</h2>
      {children}
    </dialog>
  );
}

/** Asks for the service's key. */
export function KeyDialog() {
  const request = keyRequest.value;
  const input = useRef<HTMLInputElement>(null);
  if (request === null) return null;
  const onSubmit = (event: Event) => {
    event.preventDefault();
    const key = input.current?.value.trim() ?? "";
    if (key !== "") request.resolve(key);
  };
  return (
    <Dialog title="The service asks for its key" onClose={() => request.resolve(null)}>
      <form onSubmit={onSubmit}>
        {request.refused && (
          <p class="wrong" role="alert">
            That key is not right.
          </p>
        )}
        <label class="field">
          <span>Key</span>
          <input ref={input} type="password" autoComplete="off" autoFocus required />
        </label>
        <p class="fine">It is stored for this tab only, until the tab is closed.</p>
        <div class="buttons">
          <button type="submit" class="first">
            Use this key
          </button>
          <button type="button" onClick={() => request.resolve(null)}>
            Not now
          </button>
        </div>
      </form>
    </Dialog>
  );
}

export function HelpDialog() {
  if (!helpOpen.value) return null;
  const close = () => (helpOpen.value = false);
  return (
    <Dialog title="Keys" onClose={close}>
      <dl class="keylist">
        {KEYS.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <label class="switch">
        <input
          type="checkbox"
          role="switch"
          checked={keysOn.value}
          onChange={(event) => setKeys(event.currentTarget.checked)}
        />
        <span>Single keys do this</span>
      </label>
      <p class="fine">Photos can also be dropped anywhere on the page, or pasted.</p>
      <div class="buttons">
        <button type="button" class="first" onClick={close}>
          Close
        </button>
      </div>
    </Dialog>
  );
}
