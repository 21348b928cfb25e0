import { closeExplanation, explain, explanation } from "../explain.ts";
import { backend, config, covering, record, view } from "../state.ts";
import { Dialog } from "./Dialogs.tsx";

/** Opens the dialog, for a photo with faces. Covered faces would be seen in it. */
export function ExplainButton() {
  if (view.value !== "photos") return null;
  const canExplain = (record.value?.faces.length ?? 0) > 0 && !covering.value && backend.value === "server";
  return (
    <>
      <button type="button" disabled={!canExplain} aria-describedby="why-not" onClick={() => void explain(null)}>
        Explain
      </button>
      <WhyNot />
    </>
  );
}

function WhyNot() {
  if ((record.value?.faces.length ?? 0) === 0) return null;
  const why =
    backend.value === "browser"
      ? `Explaining takes more than a hundred predictions a face, which is too slow in this browser${config.value?.service ? ": read the photo on this server." : "."}`
      : covering.value
        ? "Uncover the faces to explain them."
        : null;
  return why === null ? null : (
    <span id="why-not" class="fine">
      {why}
    </span>
  );
}

export function ExplainDialog() {
  const shown = explanation.value;
  if (shown === null) return null;
  return (
    <Dialog title="What the model reacted to" onClose={closeExplanation} wide>
      <label class="choice">
        <span>What spoke for</span>
        <select
          value={shown.emotion ?? ""}
          onChange={(event) => void explain(event.currentTarget.value === "" ? null : event.currentTarget.value)}
        >
          <option value="">the likeliest emotion</option>
          {(config.value?.classes ?? []).map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <div class="sheet" aria-live="polite" aria-busy={shown.picture === null && shown.why === null}>
        {shown.why !== null && (
          <p class="wrong" role="alert">
            {shown.why}
          </p>
        )}
        {shown.why === null && shown.picture === null && <p>Hiding parts of each face…</p>}
        {shown.picture !== null && (
          <img src={shown.picture} alt="Each face as the model saw it, the map over it, and the probabilities" />
        )}
      </div>
      <p class="fine">
        Orange parts spoke for the emotion, blue parts against it. This shows what the model reacted
        to, not what the person feels.
        {(record.value?.faces.length ?? 0) > MAX_FACES && ` The ${MAX_FACES} largest faces are explained.`}
      </p>
      <div class="buttons">
        <button type="button" class="first" onClick={closeExplanation}>
          Close
        </button>
      </div>
    </Dialog>
  );
}

/** As many as the service explains of one picture. */
const MAX_FACES = 8;
