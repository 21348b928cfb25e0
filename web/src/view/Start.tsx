import { choosePhotos, toggleCamera } from "../actions.ts";
import { starting } from "../live.ts";
import { config } from "../state.ts";
import { Emoji } from "./Faces.tsx";

export function Start() {
  return (
    <section class="start" aria-labelledby="question">
      <div class="row" aria-hidden="true">
        {config.value?.classes.slice(0, 8).map((name) => <Emoji key={name} name={name} />)}
      </div>
      <h1 id="question">What does this face show?</h1>
      <p class="droppable">Drop a photo anywhere on this page, paste one, or</p>
      <div class="buttons">
        <button type="button" class="first" onClick={choosePhotos}>
          Choose photos…
        </button>
        <button type="button" class="first camera" disabled={starting.value} onClick={() => void toggleCamera()}>
          Use the camera
        </button>
      </div>
    </section>
  );
}
