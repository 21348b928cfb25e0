import { choosePhotos, toggleCamera, toggleMirror, toggleTheme, toStart } from "../actions.ts";
import { cameraChoices, chosenCamera, mirror, startCamera, starting } from "../live.ts";
import { retryable, tryAgain } from "../photos.ts";
import { canSave, save } from "../save.ts";
import { backend, canDetect, drawing, rectangles, theme, view } from "../state.ts";
import { changeRectangles } from "../rectangles.ts";

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
        <button type="button" disabled={!canSave()} onClick={() => void save()}>
          Save PNG
        </button>
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
        <Switch on={theme.value === "emoji"} onChange={toggleTheme} text="Emoji only" />
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
