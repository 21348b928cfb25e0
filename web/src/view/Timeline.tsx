// The last minute: each face's probabilities over time, stacked.

import { useEffect, useRef, useState } from "preact/hooks";
import { classColor, css } from "../colors.ts";
import { SPAN_S, type Sample, type TimelineRow } from "../timelineRows.ts";
import { now, timelineRows } from "../live.ts";
import { config } from "../state.ts";
import { count } from "../format.ts";

const MAX_ROWS = 4;
const EVERY_MS = 100;
/** Samples further apart than this, in seconds, are not joined: the face was not seen between them. */
const GAP_S = 1;

export function Timeline() {
  const [numbers, setNumbers] = useState<readonly number[]>([]);
  const canvases = useRef(new Map<number, HTMLCanvasElement>());
  useEffect(() => {
    let last = "";
    const timer = setInterval(() => {
      const at = now();
      const recent = timelineRows.recent(at).slice(-MAX_ROWS);
      const next = recent.map((row) => row.number);
      if (next.join() !== last) {
        last = next.join();
        setNumbers(next);
      }
      for (const row of recent) {
        const canvas = canvases.current.get(row.number);
        if (canvas !== undefined) paint(canvas, row, at);
      }
    }, EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  const classes = config.value?.classes ?? [];
  const colors = config.value?.colors ?? {};
  return (
    <section class="timeline" aria-label={`The last minute of ${count(numbers.length, "face")}, as a chart`}>
      <header>
        <h2>The last minute</h2>
        <ul class="legend">
          {classes.map((name) => (
            <li key={name}>
              <i style={{ backgroundColor: css(classColor(name, colors)) }} />
              {name}
            </li>
          ))}
        </ul>
      </header>
      {(numbers.length === 0 ? [0] : numbers).map((number) => (
        <div class="timeline-row" key={number}>
          {numbers.length > 1 && <span class="number">{number}</span>}
          <canvas
            aria-hidden="true"
            data-row={number}
            ref={(canvas) => {
              if (canvas === null) canvases.current.delete(number);
              else canvases.current.set(number, canvas);
            }}
          />
        </div>
      ))}
      <p class="axis" aria-hidden="true">
        <span>60 s ago</span>
        <span>30 s ago</span>
        <span>now</span>
      </p>
    </section>
  );
}

function paint(canvas: HTMLCanvasElement, row: TimelineRow, at: number): void {
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const width = Math.round(canvas.clientWidth * ratio);
  const height = Math.round(canvas.clientHeight * ratio);
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext("2d");
  if (context === null) return;
  context.clearRect(0, 0, width, height);
  const x = (time: number) => width * (1 - (at - time) / SPAN_S);
  for (const run of runs(row.samples)) paintRun(context, run, x, height);
}

/** The samples, split at gaps. */
function runs(samples: readonly Sample[]): Sample[][] {
  const parts: Sample[][] = [];
  for (const sample of samples) {
    const before = parts.at(-1)?.at(-1);
    if (before !== undefined && sample.time - before.time <= GAP_S) parts.at(-1)!.push(sample);
    else parts.push([sample]);
  }
  return parts;
}

function paintRun(
  context: CanvasRenderingContext2D,
  run: readonly Sample[],
  x: (time: number) => number,
  height: number,
): void {
  const { classes = [], colors = {} } = config.value ?? {};
  const floor = run.map(() => 0);
  for (const name of classes) {
    const top = run.map((sample, at) => floor[at]! + (sample.probabilities[name] ?? 0));
    context.fillStyle = css(classColor(name, colors));
    context.beginPath();
    for (const [at, sample] of run.entries()) context.lineTo(x(sample.time), height * (1 - top[at]!));
    for (let at = run.length - 1; at >= 0; at--) context.lineTo(x(run[at]!.time), height * (1 - floor[at]!));
    context.fill();
    top.forEach((value, at) => (floor[at] = value));
  }
}
