// The playground: up to four optimizers on a surface, from a start that the reader chooses.

import { parse } from "./formula.mjs";
import * as rules from "./rules.mjs";
import {
  Plot, announcer, button, choice, el, forgetAddress, legend, newId, number, readAddress, short,
  slider, tick, writeAddress,
} from "./ui.mjs";

const NAME = "playground";
const LOOKS = ["ex-first", "ex-second", "ex-third", "ex-fourth"];
const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3]];
const INKS = ["--ex-blue", "--ex-orange", "--ex-teal", "--ex-purple"];

// A surface gives [height, slope in x, slope in y], and says from where to where it is shown.
const around = (r) => [-r, r, -r, r];
export const SURFACES = {
  ravine: {
    title: "ravine", domain: around(2.4), start: [-2, 0.9], minima: [[0, 0]], turns: true,
    at: (x, y, angle) => {
      const [c, s] = [Math.cos(angle), Math.sin(angle)];
      const [u, w] = [c * x + s * y, c * y - s * x];
      return [(u * u + 25 * w * w) / 2, c * u - 25 * s * w, s * u + 25 * c * w];
    },
  },
  saddle: {
    title: "saddle", domain: around(3), start: [-2.5, 0.001], minima: [[0, 2], [0, -2]],
    at: (x, y) => [x * x / 2 - y * y / 2 + y ** 4 / 16, x, -y + y ** 3 / 4],
  },
  rosenbrock: {
    title: "Rosenbrock's valley", domain: [-2, 2, -1, 3], start: [-1.2, 1], minima: [[1, 1]],
    at: (x, y) => {
      const bend = y - x * x;
      return [(1 - x) ** 2 + 100 * bend ** 2, -2 * (1 - x) - 400 * x * bend, 200 * bend];
    },
  },
  beale: {
    title: "Beale", domain: [-1, 4.5, -2.5, 2], start: [1, 1.5], minima: [[3, 0.5]],
    at: (x, y) => {
      let [f, fx, fy] = [0, 0, 0];
      [1.5, 2.25, 2.625].forEach((c, i) => {
        const r = c - x + x * y ** (i + 1);
        f += r * r;
        fx += 2 * r * (y ** (i + 1) - 1);
        fy += 2 * r * x * (i + 1) * y ** i;
      });
      return [f, fx, fy];
    },
  },
  himmelblau: {
    title: "Himmelblau", domain: around(5), start: [-0.3, -0.9],
    minima: [[3, 2], [-2.805118, 3.131313], [-3.77931, -3.283186], [3.584428, -1.848127]],
    at: (x, y) => {
      const [a, b] = [x * x + y - 11, x + y * y - 7];
      return [a * a + b * b, 4 * x * a + 2 * b, 2 * a + 4 * y * b];
    },
  },
  noisy: {
    title: "noisy bowl", domain: around(2.4), start: [-2, 1.6], minima: [[0, 0]], noise: 1,
    at: (x, y) => [(x * x + y * y) / 2, x, y],
  },
  plateau: {
    title: "plateau", domain: around(4), start: [-2.8, 1.6], minima: [[0, 0]],
    at: (x, y) => {
      const hole = Math.exp(-(x * x + y * y) / 2);
      return [1 - hole, x * hole, y * hole];
    },
  },
  own: { title: "a formula of your own", domain: around(3), start: [-2, 1.5], minima: [] },
};
const FORMULA = "(1 - x)^2 + 5 (y - x^2)^2";

const LR = { label: "learning rate", key: "lr", scale: "log", min: 1e-4, max: 10, steps: 500 };
const BETA = { label: "β", key: "beta", scale: "decay", max: 0.9999, value: 0.9 };
const ADAM = [
  { ...LR, value: 0.1 },
  { label: "β₁", key: "beta1", scale: "decay", max: 0.9999, value: 0.9 },
  { label: "β₂", key: "beta2", scale: "decay", max: 0.9999, value: 0.999 },
  { label: "ε", key: "eps", scale: "log", min: 1e-12, max: 10, value: 1e-8 },
];
const CORRECTION = { label: "bias correction", key: "correctBias", tick: true, value: true };
const DECAY = { label: "weight decay", key: "weightDecay", min: 0, max: 1, value: 0.01 };
/** Which settings an optimizer has; `fixed` are those that make it what it is. */
export const OPTIMIZERS = {
  sgd: { title: "gradient descent", rule: rules.gradientDescent, fields: [{ ...LR, value: 0.01 }] },
  momentum: { title: "momentum", rule: rules.momentum, fields: [{ ...LR, value: 0.01 }, BETA] },
  nesterov: {
    title: "Nesterov", rule: rules.momentum, fixed: { nesterov: true },
    fields: [{ ...LR, value: 0.01 }, BETA],
  },
  adagrad: {
    title: "AdaGrad", rule: rules.adagrad,
    fields: [{ ...LR, value: 0.5 }, { ...ADAM[3], value: 1e-10 }],
  },
  rmsprop: {
    title: "RMSProp", rule: rules.rmsprop,
    fields: [{ ...LR, value: 0.05 }, { ...BETA, value: 0.99 }, ADAM[3]],
  },
  adam: { title: "Adam", rule: rules.adam, fields: [...ADAM, CORRECTION] },
  amsgrad: { title: "AMSGrad", rule: rules.amsgrad, fields: [...ADAM, CORRECTION] },
  adamw: { title: "AdamW", rule: rules.adamw, fields: [...ADAM, DECAY] },
  nadam: {
    title: "NAdam", rule: rules.nadam,
    fields: [...ADAM, { label: "momentum decay", key: "momentumDecay", min: 0, max: 0.1, value: 0.004 }],
  },
  radam: { title: "RAdam", rule: rules.radam, fields: ADAM },
  lion: {
    title: "Lion", rule: rules.lion,
    fields: [
      { ...LR, value: 0.02 }, ADAM[1], { ...ADAM[2], value: 0.99 }, { ...DECAY, value: 0 },
    ],
  },
};
const MOST_STEPS = 2000;

/** Pairs of normal numbers, the same for every optimizer and every visit. */
export function noise(seed, count) {
  let a = seed >>> 0;
  const uniform = () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return Array.from({ length: count }, () => {
    const [radius, turn] = [Math.sqrt(-2 * Math.log(1 - uniform())), 2 * Math.PI * uniform()];
    return [radius * Math.cos(turn), radius * Math.sin(turn)];
  });
}

/** The settings of an optimizer that are its own and not in `given`. */
const defaults = (kind) =>
  Object.fromEntries(OPTIMIZERS[kind].fields.map(({ key, value }) => [key, value]));

/**
 * Follow every optimizer.
 *
 * Returns for each the points (steps + 1), the losses there, and the lengths of the steps. A run
 * that leaves all numbers behind ends early.
 */
export function compute({
  surface = "ravine", formula = FORMULA, angle = 0, start, steps = 100, seed = 0,
  optimizers = [{ kind: "adam" }],
} = {}) {
  const chosen = SURFACES[surface];
  const own = surface === "own" ? parse(formula) : null;
  const at = own ?? ((x, y) => chosen.at(x, y, angle));
  const errors = chosen.noise ? noise(seed, steps) : null;
  return optimizers.map(({ kind, ...settings }) => {
    const { rule, fixed } = OPTIMIZERS[kind];
    const options = { ...defaults(kind), ...settings, ...fixed };
    let theta = start ?? chosen.start;
    let state = null;
    const run = { points: [theta], losses: [at(...theta)[0]], lengths: [] };
    for (let t = 0; t < steps; t++) {
      const [, gx, gy] = at(...theta);
      const g = errors ? [gx + chosen.noise * errors[t][0], gy + chosen.noise * errors[t][1]] : [gx, gy];
      let update;
      [state, update] = rule(state, g, { ...options, theta });
      theta = [theta[0] + update[0], theta[1] + update[1]];
      const loss = at(...theta)[0];
      if (!Number.isFinite(loss) || !theta.every(Number.isFinite)) break;
      run.points.push(theta);
      run.losses.push(loss);
      run.lengths.push(Math.hypot(...update));
    }
    return run;
  });
}

/** Optimizers as text for the address, such as "adam~lr=0.1~beta1=0.9;sgd". */
const writeOptimizers = (list) =>
  list
    .map(({ kind, ...rest }) => {
      const usual = defaults(kind);
      const changed = Object.entries(rest).filter(([key, value]) => usual[key] !== value);
      return [kind, ...changed.map(([key, value]) => `${key}=${value}`)].join("~");
    })
    .join(";");

/** And back. What is unknown or out of range is left out. */
function readOptimizers(text) {
  const list = [];
  for (const part of text.split(";").slice(0, 4)) {
    const [kind, ...pairs] = part.split("~");
    if (!Object.hasOwn(OPTIMIZERS, kind)) continue;
    const found = { kind, ...defaults(kind) };
    for (const pair of pairs) {
      const [key, value] = pair.split("=");
      const field = OPTIMIZERS[kind].fields.find((one) => one.key === key);
      if (!field) continue;
      found[key] = field.tick
        ? value === "true"
        : number(value, field.min ?? 0, field.max, field.value);
    }
    list.push(found);
  }
  return list;
}

/** A point turned about the middle of the map, with the digits that the address keeps. */
function turned([x, y], degrees) {
  const [c, s] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
  return [c * x - s * y, s * x + c * y].map((value) => Number(value.toPrecision(6)));
}

/** What an optimizer is called here: with its number where two are of one kind. */
function title(list, k) {
  const { kind } = list[k];
  const name = OPTIMIZERS[kind].title;
  return list.filter((one) => one.kind === kind).length > 1 ? `${name} (${k + 1})` : name;
}

/** Heights as shades with lines between them: the picture of a surface, one number per pixel. */
function shade(at, [x0, x1, y0, y1], width, height, levels) {
  const bands = new Int16Array(width * height);
  for (let j = 0; j < height; j++) {
    const y = y1 - ((j + 0.5) / height) * (y1 - y0);
    for (let i = 0; i < width; i++) {
      bands[j * width + i] = levels(at(x0 + ((i + 0.5) / width) * (x1 - x0), y)[0]);
    }
  }
  return bands;
}

/** A function from height to the number of its band, dense near the lowest point that is shown. */
function bandsOf(at, [x0, x1, y0, y1]) {
  let [low, high] = [Infinity, -Infinity];
  for (let j = 0; j <= 60; j++) {
    for (let i = 0; i <= 60; i++) {
      const value = at(x0 + (i / 60) * (x1 - x0), y0 + (j / 60) * (y1 - y0))[0];
      if (!Number.isFinite(value)) continue;
      [low, high] = [Math.min(low, value), Math.max(high, value)];
    }
  }
  const span = high - low || 1;
  // The fourth root spreads the lines: a valley and its walls can both be read.
  return (value) =>
    Number.isFinite(value) ? Math.floor(14 * (Math.max(0, value - low) / span) ** 0.25) : 15;
}

/** A colour of the style sheet as three numbers. */
function rgb(name) {
  const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));
}

export default function build(stage, preset) {
  const given = readAddress(NAME);
  const surface = Object.hasOwn(SURFACES, given.s ?? "") ? given.s : preset.surface ?? "ravine";
  const angle0 = number(given.a, 0, 90, preset.angle ?? 0);
  // The start is given for the valley as it lies along the axes.
  const [sx, sy] = SURFACES[surface].turns
    ? turned(SURFACES[surface].start, angle0)
    : SURFACES[surface].start;
  const kinds = given.o ? readOptimizers(given.o) : [];
  const now = {
    surface,
    formula: given.f ?? FORMULA,
    angle: angle0,
    startTurns: given.st !== "0",
    start: [number(given.x, -10, 10, sx), number(given.y, -10, 10, sy)],
    steps: Math.round(number(given.n, 1, MOST_STEPS, preset.steps ?? 60)),
    seed: Math.round(number(given.r, 0, 999, 0)),
    optimizers: kinds.length
      ? kinds
      : (preset.optimizers ?? [{ kind: "sgd" }, { kind: "adam" }]).map((one) => ({
          ...defaults(one.kind), ...one,
        })),
  };
  let shown = now.steps; // how many steps are drawn; less while it plays
  let runs = [];
  let at = null;

  // The map: the surface on one canvas, the paths on a second one above it.
  const ground = el("canvas");
  const paths = el("canvas", { role: "img", "aria-label": "map of the surface" });
  const map = el("div", { class: "ex-map" }, ground, paths);

  function place() {
    const box = domain();
    const [w, h] = [paths.width, paths.height];
    return ([x, y]) => [
      ((x - box[0]) / (box[1] - box[0])) * w, ((box[3] - y) / (box[3] - box[2])) * h,
    ];
  }
  const domain = () => SURFACES[now.surface].domain;

  function drawGround() {
    if (!at) return;
    // A formula that was typed takes some ten times as long as a built-in surface, and a phone is
    // slow and has no room for more.
    const width = now.surface === "own" ? 320 : innerWidth < 700 ? 400 : 640;
    const height = width;
    ground.width = ground.height = width;
    const bands = shade(at, domain(), width, height, bandsOf(at, domain()));
    const [paper, ink, line] = [rgb("--ex-paper"), rgb("--ex-blue"), rgb("--ex-muted")];
    const image = new ImageData(width, height);
    for (let p = 0; p < bands.length; p++) {
      const band = bands[p];
      const edge =
        (p % width > 0 && bands[p - 1] !== band) || (p >= width && bands[p - width] !== band);
      const part = edge ? 0.45 : 0.014 * (15 - Math.min(15, band));
      const colour = edge ? line : ink;
      for (let k = 0; k < 3; k++) image.data[4 * p + k] = paper[k] + part * (colour[k] - paper[k]);
      image.data[4 * p + 3] = 255;
    }
    ground.getContext("2d").putImageData(image, 0, 0);
  }

  function drawPaths() {
    const ratio = Math.min(2, devicePixelRatio || 1);
    const size = Math.round(map.clientWidth * ratio) || 720;
    if (paths.width !== size) paths.width = paths.height = size;
    const pen = paths.getContext("2d");
    pen.clearRect(0, 0, size, size);
    const to = place();
    const style = getComputedStyle(document.documentElement);
    pen.lineJoin = "round";
    runs.forEach(({ points }, k) => {
      pen.strokeStyle = pen.fillStyle = style.getPropertyValue(INKS[k]);
      pen.lineWidth = 2.2 * ratio;
      pen.setLineDash(DASHES[k].map((d) => d * ratio));
      pen.beginPath();
      const last = Math.min(shown, points.length - 1);
      for (let i = 0; i <= last; i++) pen.lineTo(...to(points[i]));
      pen.stroke();
      pen.setLineDash([]);
      if (last <= 120) {
        for (let i = 1; i < last; i++) {
          pen.beginPath();
          pen.arc(...to(points[i]), 1.8 * ratio, 0, 7);
          pen.fill();
        }
      }
      pen.beginPath();
      pen.arc(...to(points[last]), 4.5 * ratio, 0, 7);
      pen.fill();
    });
    pen.strokeStyle = style.getPropertyValue("--ex-ink");
    pen.lineWidth = 2 * ratio;
    for (const minimum of SURFACES[now.surface].minima) {
      const [u, w] = to(minimum);
      const arm = 5 * ratio;
      pen.beginPath();
      for (const sign of [1, -1]) {
        pen.moveTo(u - arm, w - sign * arm);
        pen.lineTo(u + arm, w + sign * arm);
      }
      pen.stroke();
    }
    const [x, y] = to(now.start);
    pen.strokeRect(x - 5 * ratio, y - 5 * ratio, 10 * ratio, 10 * ratio);
  }

  const losses = new Plot({
    width: 360, height: 180, x: { label: "step" }, y: { label: "loss", scale: "log" },
    label: "loss at each step",
  });
  const lengths = new Plot({
    width: 360, height: 180, x: { label: "step" }, y: { label: "length of the step", scale: "log" },
    label: "length of each step",
  });
  const { node: status, say } = announcer();

  function drawPlots() {
    const part = (values, first) => ({
      x: values.slice(0, shown + 1 - first).map((_, i) => i + first),
      y: values.slice(0, shown + 1 - first),
    });
    losses.x.range = lengths.x.range = [0, now.steps];
    losses.draw(runs.map((run, k) => ({ ...part(run.losses, 0), look: LOOKS[k] })));
    lengths.draw(runs.map((run, k) => ({ ...part(run.lengths, 1), look: LOOKS[k] })));
  }

  function tell() {
    const parts = runs.map((run, k) => {
      const last = Math.min(shown, run.losses.length - 1);
      const lost = run.losses.length - 1 < now.steps ? ", then out of all numbers" : "";
      const first = run.lengths.length ? `, first step ${short(run.lengths[0])}` : "";
      return `${title(now.optimizers, k)}: loss ${short(run.losses[last])}${first}${lost}`;
    });
    const text = `After ${shown} steps. ${parts.join("; ")}.`;
    say(text);
    paths.setAttribute("aria-label", `Map of ${SURFACES[now.surface].title}. ${text}`);
  }

  let waiting = 0;
  /** Draw once in the next frame, however many settings have changed until then. */
  function redraw({ ground: anew = false } = {}) {
    groundIsOld ||= anew;
    if (waiting) return;
    waiting = requestAnimationFrame(() => {
      waiting = 0;
      if (groundIsOld) drawGround();
      groundIsOld = false;
      drawPaths();
      drawPlots();
      tell();
    });
  }
  let groundIsOld = false;

  function changed({ ground: anew = false } = {}) {
    try {
      if (now.surface === "own") parse(now.formula);
      problem.textContent = "";
      field.removeAttribute("aria-invalid");
    } catch (error) {
      problem.textContent = `Not a formula: ${error.message}.`;
      field.setAttribute("aria-invalid", "true");
      return;
    }
    if (playing) stop();
    const angle = (now.angle * Math.PI) / 180;
    const { at: builtIn } = SURFACES[now.surface];
    at = now.surface === "own" ? parse(now.formula) : (x, y) => builtIn(x, y, angle);
    runs = compute({ ...now, angle });
    shown = now.steps;
    const heights = runs.flatMap((run) => run.losses);
    // A surface that goes below zero has no logarithm.
    losses.y.scale = Math.min(...heights) < 0 ? "linear" : "log";
    // The axes of the whole run, so that they stand still while it plays.
    losses.y.range = lengths.y.range = undefined;
    losses.y.range = losses.range(losses.y, heights);
    lengths.y.range = lengths.range(lengths.y, runs.flatMap((run) => run.lengths));
    writeAddress(NAME, {
      s: now.surface,
      ...(now.surface === "own" ? { f: now.formula } : {}),
      ...(SURFACES[now.surface].turns ? { a: now.angle, st: now.startTurns ? 1 : 0 } : {}),
      ...(SURFACES[now.surface].noise ? { r: now.seed } : {}),
      x: now.start[0], y: now.start[1], n: now.steps, o: writeOptimizers(now.optimizers),
    });
    redraw({ ground: anew });
  }

  // Controls of the surface.
  const formulaId = newId();
  const problem = el("p", { class: "ex-problem", role: "alert" });
  const field = el("input", {
    id: formulaId, type: "text", value: now.formula, spellcheck: "false", maxlength: 200,
    oninput: () => { now.formula = field.value; changed({ ground: true }); },
  });
  const formula = el(
    "div", { class: "ex-control ex-formula" }, el("label", { for: formulaId }, "f(x, y) ="), field,
  );
  const turn = slider({
    label: "turned by °", min: 0, max: 90, value: now.angle, steps: 90,
    oninput: (value) => {
      if (now.startTurns) {
        now.start = turned(now.start, value - now.angle);
        starts.forEach((control, i) => { control.value = now.start[i]; });
      }
      now.angle = value;
      changed({ ground: true });
    },
  });
  const startTurns = tick({
    label: "the start turns with the valley", value: now.startTurns,
    oninput: (value) => { now.startTurns = value; changed(); },
  });
  const seed = slider({
    label: "noise number", min: 0, max: 20, value: now.seed, steps: 20,
    oninput: (value) => { now.seed = Math.round(value); changed(); },
  });
  const starts = ["x", "y"].map((axis, i) =>
    slider({
      label: `start ${axis}`, min: domain()[2 * i], max: domain()[2 * i + 1], value: now.start[i],
      oninput: (value) => { now.start[i] = value; changed(); },
    }),
  );
  const startBox = el("div", { class: "ex-controls" }, ...starts.map((one) => one.node));
  /** The start's sliders reach over the surface that is shown. */
  function startsAnew() {
    ["x", "y"].forEach((axis, i) => {
      starts[i] = slider({
        label: `start ${axis}`, min: domain()[2 * i], max: domain()[2 * i + 1], value: now.start[i],
        oninput: (value) => { now.start[i] = value; changed(); },
      });
    });
    startBox.replaceChildren(...starts.map((one) => one.node));
  }
  function fitControls() {
    formula.hidden = problem.hidden = now.surface !== "own";
    turn.node.hidden = startTurns.node.hidden = !SURFACES[now.surface].turns;
    seed.node.hidden = !SURFACES[now.surface].noise;
  }
  const select = choice({
    label: "surface", value: now.surface,
    options: Object.entries(SURFACES).map(([key, { title }]) => [key, title]),
    oninput: (value) => {
      now.surface = value;
      now.start = SURFACES[value].turns
        ? turned(SURFACES[value].start, now.angle)
        : [...SURFACES[value].start];
      startsAnew();
      fitControls();
      changed({ ground: true });
    },
  });
  const steps = slider({
    label: "steps", min: 1, max: MOST_STEPS, value: now.steps, scale: "log", steps: 120,
    oninput: (value) => { now.steps = Math.round(value); changed(); },
  });

  // Playing: all points are known; they are only shown one after the other.
  let playing = 0;
  const play = button("play", () => (playing ? stop() : begin()));
  function begin() {
    if (shown >= now.steps) shown = 0;
    play.textContent = "pause";
    let began = null;
    const from = shown;
    // Every run is shown in about four seconds, however long it is.
    const speed = now.steps / 4000;
    const frame = (time) => {
      began ??= time;
      shown = Math.min(now.steps, from + Math.floor((time - began) * speed));
      drawPaths();
      drawPlots();
      if (shown >= now.steps) return stop();
      playing = requestAnimationFrame(frame);
    };
    playing = requestAnimationFrame(frame);
  }
  function stop() {
    cancelAnimationFrame(playing);
    playing = 0;
    play.textContent = "play";
    tell();
  }
  const one = (by) => () => {
    if (playing) stop();
    shown = Math.min(now.steps, Math.max(0, shown + by));
    redraw();
  };
  const buttons = el(
    "div", { class: "ex-buttons" }, play, button("one step back", one(-1)),
    button("one step on", one(1)), button("to the start", () => one(-shown)()),
  );

  // The start by click or touch. A drag over the map scrolls the page as usual.
  map.addEventListener("click", (event) => {
    const box = map.getBoundingClientRect();
    const [x0, x1, y0, y1] = domain();
    const x = x0 + ((event.clientX - box.left) / box.width) * (x1 - x0);
    const y = y1 - ((event.clientY - box.top) / box.height) * (y1 - y0);
    now.start = [x, y].map((value) => Number(value.toPrecision(4)));
    starts.forEach((control, i) => { control.value = now.start[i]; });
    changed();
  });

  const names = el("div", {});
  const fresh = button("as at the beginning", () => {
    watchers.forEach((watcher) => watcher.disconnect());
    if (playing) stop();
    forgetAddress(NAME);
    stage.replaceChildren();
    build(stage, preset);
    stage.querySelector("select").focus();
  });
  buttons.append(fresh);

  // The optimizers.
  const list = el("div", { class: "ex-optimizers" });
  const add = button("add an optimizer", () => {
    now.optimizers.push({ kind: "momentum", ...defaults("momentum") });
    drawOptimizers();
    changed();
    list.lastElementChild.querySelector("select").focus();
  });
  function drawOptimizers() {
    list.replaceChildren(
      ...now.optimizers.map((settings, k) => {
        const { fields } = OPTIMIZERS[settings.kind];
        const kind = choice({
          label: `optimizer ${k + 1}`, value: settings.kind,
          options: Object.entries(OPTIMIZERS).map(([key, { title }]) => [key, title]),
          oninput: (value) => {
            now.optimizers[k] = { kind: value, ...defaults(value) };
            drawOptimizers();
            changed();
            list.children[k].querySelector("select").focus();
          },
        });
        const controls = fields.map((one) =>
          (one.tick ? tick : slider)({
            ...one, value: settings[one.key],
            oninput: (value) => { settings[one.key] = value; changed(); },
          }),
        );
        const remove = button("remove", () => {
          now.optimizers.splice(k, 1);
          drawOptimizers();
          changed();
          add.focus();
        });
        remove.setAttribute("aria-label", `remove optimizer ${k + 1}`);
        remove.hidden = now.optimizers.length === 1;
        return el(
          "fieldset", { class: `ex-optimizer ex-line ${LOOKS[k]}` },
          el("legend", {}, title(now.optimizers, k)),
          kind.node, ...controls.map((control) => control.node), remove,
        );
      }),
    );
    add.hidden = now.optimizers.length >= 4;
    names.replaceChildren(legend(now.optimizers.map((_, k) => [LOOKS[k], title(now.optimizers, k)])));
  }

  // The theme is an attribute of the page; the canvases have to be told.
  const watchers = [
    new MutationObserver(() => redraw({ ground: true })), new ResizeObserver(() => redraw()),
  ];
  watchers[0].observe(document.documentElement, { attributeFilter: ["data-theme"] });
  watchers[1].observe(map);

  drawOptimizers();
  fitControls();
  stage.append(
    el(
      "div", { class: "ex-row" },
      el("div", { class: "ex-controls" }, map, names, buttons),
      el(
        "div", { class: "ex-controls" },
        select.node, formula, problem, turn.node, startTurns.node, seed.node, startBox, steps.node, losses.node,
        lengths.node,
      ),
    ),
    status, list, el("div", { class: "ex-buttons" }, add),
  );
  changed({ ground: true });
}
