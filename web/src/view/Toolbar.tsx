import { choosePhotos, toggleCamera, toggleCovering, toggleMirror, toStart } from "../actions.ts";
import type { Covering } from "../covers.ts";
import { cameraChoices, chosenCamera, mirror, startCamera, starting } from "../live.ts";
import { photos, retryable, tryAgain } from "../photos.ts";
import { canSave, save, saveRecords } from "../save.ts";
import { backend, canDetect, covering, coverWith, drawing, record, rectangles, view } from "../state.ts";
import { changeRectangles } from "../rectangles.ts";
import { ExplainButton } from "./Explain.tsx";

export function Toolbar() {
  const live = view.value === "camera";
  return (
    <div class="toolbar" role="group" aria-label="What to do">
      <div class="buttons">
        <button type="button" onClick={choosePhotos}>
          Photos…
        </button>
        <button type="button" class={live ? "camera stop" : "camera"} disabled={starting.value} onClick={() => void toggleCamera()}>
          {live ? "Stop camera" : "Camera"}
        </button>
        <Save />
        <ExplainButton />
        {!live && retryable.value.length > 0 && (
          <button type="button" class="again" onClick={tryAgain}>
            Try again{retryable.value.length > 1 && ` (${retryable.value.length})`}
          </button>
        )}
        {!live && (
          <button type="button" onClick={toStart}>
            Close
          </button>
        )}
      </div>
      <div class="switches">
        <Switch on={covering.value} onChange={toggleCovering} text="Cover faces" />
        {covering.value && <Covers />}
        {live && <Switch on={mirror.value} onChange={toggleMirror} text="Mirror" />}
        {backend.value === "browser" && canDetect.value && (
          <Switch on={drawing.value} onChange={() => (drawing.value = !drawing.value)} text="Mark faces myself" />
        )}
        {rectangles.value.length > 0 && (
          <button type="button" onClick={() => changeRectangles([])}>
            Remove rectangles
          </button>
        )}
        {live && cameraChoices.value.length > 1 && <Cameras />}
      </div>
    </div>
  );
}

/** Saves the picture, or what was read: of all photos, or of the camera's last minute. */
function Save() {
  const isRead = view.value === "camera" ? record.value !== null : photos.value.some(({ record, failure }) => record ?? failure);
  const button = (format: string, enabled: boolean, act: () => void) => (
    <button type="button" aria-label={`Save ${format}`} disabled={!enabled} onClick={act}>
      {format}
    </button>
  );
  return (
    <div class="save" role="group" aria-label="Save">
      <span aria-hidden="true">Save</span>
      {button("PNG", canSave(), () => void save())}
      {button("JSON", isRead, () => saveRecords("json"))}
      {button("CSV", isRead, () => saveRecords("csv"))}
    </div>
  );
}

const COVERS: readonly (readonly [Covering, string])[] = [["emoji", "emoji"], ["blur", "a blur"], ["pixelate", "large pixels"]];

function Covers() {
  return (
    <label class="choice">
      <span aria-hidden="true">with</span>
      <select
        aria-label="Cover with"
        value={coverWith.value}
        onChange={(event) => (coverWith.value = event.currentTarget.value as Covering)}
      >
        {COVERS.map(([name, text]) => (
          <option key={name} value={name}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

function Cameras() {
  return (
    <label class="choice">
      <span>Camera</span>
      <select value={chosenCamera.value} onChange={(event) => void startCamera(event.currentTarget.value)}>
        {cameraChoices.value.map(({ id, name }) => (
          <option key={id} value={id}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

function Switch({ on, onChange, text }: { on: boolean; onChange: () => void; text: string }) {
  return (
    <label class="switch">
      <input type="checkbox" role="switch" checked={on} onChange={onChange} />
      <span>{text}</span>
    </label>
  );
}
