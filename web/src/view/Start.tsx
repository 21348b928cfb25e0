import { choosePhotos, openSample, toggleCamera } from "../actions.ts";
import { starting } from "../live.ts";
import { example, SAMPLE } from "../sample.ts";
import { config } from "../state.ts";
import { Card, Emoji } from "./Card.tsx";

export function Start() {
  return (
    <section class="start" aria-labelledby="question">
      <h1 id="question">What does this face show?</h1>
      <ul class="row" aria-label="Emotions">
        {config.value?.classes.slice(0, 8).map((name) => (
          <li key={name}>
            <Emoji name={name} />
            {name}
          </li>
        ))}
      </ul>
      <p class="droppable">Drop a photo anywhere on this page, paste one, or</p>
      <div class="buttons">
        <button type="button" class="first" onClick={choosePhotos}>
          Choose photos…
        </button>
        <button type="button" class="first camera" disabled={starting.value} onClick={() => void toggleCamera()}>
          Use the camera
        </button>
        <button type="button" onClick={() => void openSample()}>
          Try a sample photo
        </button>
      </div>
      <Example />
    </section>
  );
}

/** What comes out, by the sample photo. */
function Example() {
  const read = example();
  return (
    <figure class="example">
      <div class="sample">
        <img src={SAMPLE} width="400" height="400" alt="A smiling astronaut before a flag" />
        {read?.faces.map(({ box }, index) => (
          <span
            key={index}
            style={{
              left: `${(100 * box.x) / read.width!}%`,
              top: `${(100 * box.y) / read.height!}%`,
              width: `${(100 * box.width) / read.width!}%`,
              height: `${(100 * box.height) / read.height!}%`,
            }}
          />
        ))}
      </div>
      {read?.faces.map((face, index) => <Card key={index} mark={{ face, number: null }} />)}
      <figcaption>
        <p>
          What you get: a box round each face, the likeliest emotion with its confidence, and a bar for every emotion. A
          question mark stands for an uncertain one.
        </p>
        <p class="fine">Photo: Eileen Collins, by NASA, in the public domain.</p>
      </figcaption>
    </figure>
  );
}
