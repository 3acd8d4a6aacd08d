// The playground: up to four optimizers on a surface, from a start that the reader chooses. It opens
// with the two settings that its page asks about; "More settings" shows all of them.

import { parse } from "./formula.mjs";
import * as rules from "./rules.mjs";
import {
  Plot, announcer, button, choice, el, forgetAddress, legend, newId, number, readAddress, short,
  slider, tick, writeAddress,
} from "./ui.mjs";

const NAME = "playground";
/** The steepness of the ravine across, where along it is 1. */
const SCALE = 25;

// A surface gives [height, slope in x, slope in y], and says from where to where it is shown.
const around = (r) => [-r, r, -r, r];
/** Curvatures are computed at this many places along each side. */
const PLACES = 40;
export const SURFACES = {
  ravine: {
    title: "ravine", domain: around(2.4), start: [-2, 0.9], minima: [[0, 0]], turns: true,
    at: (x, y, { angle = 0, scale = SCALE }) => {
      const [c, s] = [Math.cos(angle), Math.sin(angle)];
      const [u, w] = [c * x + s * y, c * y - s * x];
      return [(u * u + scale * w * w) / 2, c * u - scale * s * w, s * u + scale * c * w];
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

/** The height and the slopes of a surface with these settings, as a function of a point. */
function heightOf({ surface, formula = FORMULA, ...shape }) {
  if (surface === "own") return parse(formula);
  return (x, y) => SURFACES[surface].at(x, y, shape);
}

/**
 * The learning rates to begin with, for optimizers whose steps are in proportion to the gradient:
 * what suits one surface throws them off another. Half of 1/L, where L is the largest curvature
 * that is found where the surface is no higher than at its start.
 */
export function rates(shape) {
  const { domain: [x0, x1, y0, y1], start } = SURFACES[shape.surface];
  const at = heightOf(shape);
  const top = at(...start)[0];
  const h = 1e-4;
  let steepest = 0;
  for (let j = 0; j <= PLACES; j++) {
    for (let i = 0; i <= PLACES; i++) {
      const [x, y] = [x0 + (i / PLACES) * (x1 - x0), y0 + (j / PLACES) * (y1 - y0)];
      if (!(at(x, y)[0] <= top)) continue;
      const [east, west, north, south] = [at(x + h, y), at(x - h, y), at(x, y + h), at(x, y - h)];
      const [a, b, c] = [east[1] - west[1], north[1] - south[1], north[2] - south[2]].map(
        (change) => change / (2 * h),
      );
      const curvature = Math.abs(a + c) / 2 + Math.hypot((a - c) / 2, b);
      if (Number.isFinite(curvature)) steepest = Math.max(steepest, curvature);
    }
  }
  const rate = Math.min(1, Math.max(LR.min, 0.5 / steepest));
  const rounded = (value) => Number(value.toPrecision(1));
  return {
    sgd: rounded(rate), momentum: rounded(rate / 4), nesterov: rounded(rate / 4),
    // Its first steps are those of momentum.
    radam: rounded(Math.min(0.1, rate)),
  };
}

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
/**
 * Which settings an optimizer has; `fixed` are those that make it what it is, `look` is its name in
 * looks.css.
 */
export const OPTIMIZERS = {
  sgd: {
    title: "gradient descent", look: "gradient-descent", rule: rules.gradientDescent,
    fields: [{ ...LR, value: 0.01 }],
  },
  momentum: {
    title: "momentum", look: "momentum", rule: rules.momentum,
    fields: [{ ...LR, value: 0.01 }, BETA],
  },
  nesterov: {
    title: "Nesterov", look: "nesterov", rule: rules.momentum, fixed: { nesterov: true },
    fields: [{ ...LR, value: 0.01 }, BETA],
  },
  adagrad: {
    title: "AdaGrad", look: "adagrad", rule: rules.adagrad,
    fields: [{ ...LR, value: 0.5 }, { ...ADAM[3], value: 1e-10 }],
  },
  rmsprop: {
    title: "RMSProp", look: "rmsprop", rule: rules.rmsprop,
    fields: [{ ...LR, value: 0.05 }, { ...BETA, value: 0.99 }, ADAM[3]],
  },
  adam: { title: "Adam", look: "adam", rule: rules.adam, fields: [...ADAM, CORRECTION] },
  amsgrad: { title: "AMSGrad", look: "amsgrad", rule: rules.amsgrad, fields: [...ADAM, CORRECTION] },
  adamw: { title: "AdamW", look: "adamw", rule: rules.adamw, fields: [...ADAM, DECAY] },
  nadam: {
    title: "NAdam", look: "nadam", rule: rules.nadam,
    fields: [...ADAM, { label: "momentum decay", key: "momentumDecay", min: 0, max: 0.1, value: 0.004 }],
  },
  radam: { title: "RAdam", look: "radam", rule: rules.radam, fields: ADAM },
  lion: {
    title: "Lion", look: "lion", rule: rules.lion,
    fields: [
      { ...LR, value: 0.02 }, ADAM[1], { ...ADAM[2], value: 0.99 }, { ...DECAY, value: 0 },
    ],
  },
};
const MOST_STEPS = 2000;
const MOST_SCALE = 1000;

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
  surface = "ravine", formula, angle, scale, start, steps = 100, seed = 0,
  optimizers = [{ kind: "adam" }],
} = {}) {
  const chosen = SURFACES[surface];
  const at = heightOf({ surface, formula, angle, scale });
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
      // What the usual learning rate is depends on the surface, so it is always written.
      const changed = Object.entries(rest).filter(
        ([key, value]) => key === "lr" || usual[key] !== value,
      );
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

/** What an optimizer is called here: with its number where two have one name. */
function title(list, k) {
  const named = list.map(({ kind, correctBias }) =>
    OPTIMIZERS[kind].title + (correctBias === false ? " without bias correction" : ""),
  );
  return named.filter((one) => one === named[k]).length > 1 ? `${named[k]} (${k + 1})` : named[k];
}

/** The classes that give it its colour and dash; a second one of a kind has another dash. */
function look(list, k) {
  const looks = list.map(({ kind, correctBias }) =>
    correctBias === false && kind === "adam" ? "without-bias-correction" : OPTIMIZERS[kind].look,
  );
  const before = looks.slice(0, k).filter((one) => one === looks[k]).length;
  return `look-${looks[k]}${before ? ` ex-again-${before}` : ""}`;
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


/** Where a run leaves the picture, or how many points it has: losses far above the first one. */
function leaves({ losses }) {
  const far = 100 * (Math.abs(losses[0]) || 1);
  const at = losses.findIndex((loss) => Math.abs(loss - losses[0]) > far);
  return at < 0 ? losses.length : at;
}

export default function build(stage, preset, open) {
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
    scale: number(given.k, 1, MOST_SCALE, preset.scale ?? SCALE),
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
  let more = open ?? given.m === "1"; // whether all settings are shown
  let shown = now.steps; // how many steps are drawn; less while it plays
  let runs = [];
  let ends = []; // how many points of each run are in the picture
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
    // A dot for each dot of the screen: scaled, a level line would be broken. A formula that was
    // typed takes some ten times as long as a built-in surface.
    const most = now.surface === "own" ? 320 : 640;
    const width = Math.min(most, Math.round(map.clientWidth * (devicePixelRatio || 1)) || most);
    const height = width;
    ground.width = ground.height = width;
    const bands = shade(at, domain(), width, height, bandsOf(at, domain()));
    const [paper, ink, line] = [rgb("--ex-paper"), rgb("--ex-accent"), rgb("--ex-muted")];
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
      const { stroke, strokeDasharray: dash } = getComputedStyle(inks[k]);
      pen.strokeStyle = pen.fillStyle = stroke;
      pen.lineWidth = 2.2 * ratio;
      pen.setLineDash((dash.match(/[\d.]+/g) ?? []).map((d) => d * ratio));
      pen.beginPath();
      // The first point outside is drawn to, so that one sees where the path leaves.
      const last = Math.min(shown, points.length - 1, ends[k]);
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

  const losses = new Plot({ x: { label: "step" }, y: { label: "loss", scale: "log" } });
  const lengths = new Plot({ x: { label: "step" }, y: { label: "length of the step", scale: "log" } });
  // Room for 1e−11 beside the label.
  losses.margin.left = lengths.margin.left = 60;
  const { node: status, say } = announcer();

  function drawPlots() {
    losses.x.range = lengths.x.range = [0, now.steps];
    // As the path: up to the first point outside.
    const part = (values, first, k) => {
      const y = values.slice(0, Math.min(shown, ends[k]) + 1 - first);
      return { x: y.map((_, i) => i + first), y, look: look(now.optimizers, k) };
    };
    losses.draw(runs.map((run, k) => part(run.losses, 0, k)));
    lengths.draw(runs.map((run, k) => part(run.lengths, 1, k)));
  }

  function tell() {
    const parts = runs.map((run, k) => {
      // Where steps are not the question they would only be in the way.
      const asked = (more || first === lengths) && run.lengths.length;
      const step = asked ? `, first step ${short(run.lengths[0])}` : "";
      const gone = shown >= ends[k];
      const loss = gone ? `out of the picture at step ${ends[k]}` : `loss ${short(run.losses[shown])}`;
      return `${title(now.optimizers, k)}, ${loss}${step}`;
    });
    const text = `After ${shown} steps: ${parts.join("; ")}.`;
    say(text);
    paths.setAttribute("aria-label", `Map of ${SURFACES[now.surface].title}. ${text}`);
    losses.label = `Loss at each step. ${text}`;
    lengths.label = `Length of each step. ${text}`;
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
      for (const plot of [losses, lengths]) plot.fit();
      drawPaths();
      drawPlots();
      tell();
    });
  }
  let groundIsOld = false;

  /** What surface, slopes and usual learning rates depend on; the angle in radians. */
  const shape = () => ({ ...now, angle: (now.angle * Math.PI) / 180 });

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
    at = heightOf(shape());
    runs = compute(shape());
    ends = runs.map(leaves);
    shown = now.steps;
    const seen = (values) => runs.flatMap((run, k) => values(run).slice(0, ends[k]));
    const heights = seen((run) => run.losses);
    // A surface that goes below zero has no logarithm.
    losses.y.scale = Math.min(...heights) < 0 ? "linear" : "log";
    // The axes of the whole run, so that they stand still while it plays.
    losses.y.range = lengths.y.range = undefined;
    losses.y.range = losses.range(losses.y, heights);
    lengths.y.range = lengths.range(lengths.y, seen((run) => run.lengths));
    writeAddress(NAME, {
      s: now.surface,
      ...(now.surface === "own" ? { f: now.formula } : {}),
      ...(SURFACES[now.surface].turns
        ? { a: now.angle, k: now.scale, st: now.startTurns ? 1 : 0 }
        : {}),
      ...(SURFACES[now.surface].noise ? { r: now.seed } : {}),
      x: now.start[0], y: now.start[1], n: now.steps, o: writeOptimizers(now.optimizers),
      ...(more ? { m: 1 } : {}),
    });
    redraw({ ground: anew });
  }

  // Controls of the surface. Those that a setting here changes are kept to be told.
  let starts = [];
  const tellStarts = () => starts.forEach((control, i) => { control.value = now.start[i]; });
  const formulaId = newId();
  const problem = el("p", { class: "ex-problem", role: "alert" });
  const field = el("input", {
    id: formulaId, type: "text", value: now.formula, spellcheck: "false", maxlength: 200,
    oninput: () => {
      const before = usual();
      now.formula = field.value;
      const after = usual();
      // A learning rate that the reader has chosen stays.
      for (const one of now.optimizers) {
        if (one.lr === (before[one.kind] ?? one.lr)) one.lr = after[one.kind] ?? one.lr;
      }
      drawOptimizers();
      changed({ ground: true });
    },
  });
  /** The usual rates on this surface; none while what is typed is no formula. */
  function usual() {
    try {
      return rates(shape());
    } catch {
      return {};
    }
  }
  const controls = {
    scale: () =>
      slider({
        label: "steepness y/x", min: 1, max: MOST_SCALE, value: now.scale, scale: "log", steps: 120,
        oninput: (value) => { now.scale = value; changed({ ground: true }); },
      }),
    angle: () =>
      slider({
        label: "turned by °", min: 0, max: 90, value: now.angle, steps: 90,
        oninput: (value) => {
          if (now.startTurns) {
            now.start = turned(now.start, value - now.angle);
            tellStarts();
          }
          now.angle = value;
          changed({ ground: true });
        },
      }),
    startTurns: () =>
      tick({
        label: "the start turns with the valley", value: now.startTurns,
        oninput: (value) => { now.startTurns = value; changed(); },
      }),
    seed: () =>
      slider({
        label: "noise number", min: 0, max: 20, value: now.seed, steps: 20,
        oninput: (value) => { now.seed = Math.round(value); changed(); },
      }),
    start: (i) =>
      slider({
        label: `start ${"xy"[i]}`, min: domain()[2 * i], max: domain()[2 * i + 1], value: now.start[i],
        oninput: (value) => { now.start[i] = value; changed(); },
      }),
    steps: () =>
      slider({
        label: "steps", min: 1, max: MOST_STEPS, value: now.steps, scale: "log", steps: 120,
        oninput: (value) => { now.steps = Math.round(value); changed(); },
      }),
    surface: () =>
      choice({
        label: "surface", value: now.surface,
        options: Object.entries(SURFACES).map(([key, { title }]) => [key, title]),
        oninput: (value) => {
          now.surface = value;
          now.start = SURFACES[value].turns
            ? turned(SURFACES[value].start, now.angle)
            : [...SURFACES[value].start];
          const fitting = usual();
          for (const one of now.optimizers) one.lr = fitting[one.kind] ?? defaults(one.kind).lr;
          drawSurface();
          drawOptimizers();
          changed({ ground: true });
          panel.querySelector("select").focus();
        },
      }),
    /** A setting of these optimizers. */
    setting: (label, one, which) =>
      (one.tick ? tick : slider)({
        ...one, label, value: which[0][one.key],
        oninput: (value) => {
          for (const settings of which) settings[one.key] = value;
          // The tick is part of the name and of the look.
          if (one.tick) drawNames();
          changed();
        },
      }),
  };

  const surfaceBox = el("div", { class: "ex-controls" });
  /** The settings that the surface has, with the start's sliders over what is shown. */
  function drawSurface() {
    const { turns, noise: noisy } = SURFACES[now.surface];
    starts = [0, 1].map(controls.start);
    surfaceBox.replaceChildren(
      controls.surface().node,
      ...(now.surface === "own"
        ? [
            el(
              "div", { class: "ex-control ex-formula" },
              el("label", { for: formulaId }, "f(x, y) ="), field,
            ),
            problem,
          ]
        : []),
      ...(turns
        ? [controls.scale().node, controls.angle().node, controls.startTurns().node]
        : []),
      ...(noisy ? [controls.seed().node] : []),
      ...starts.map((one) => one.node),
      controls.steps().node,
    );
  }

  /**
   * The two settings that the page asks about: "scale", "angle", "steps", or a setting of all
   * optimizers that have it ("beta2") or of one ("lr:2"). What this surface or these optimizers
   * lack is left out.
   */
  function simpleControls() {
    const found = [...(preset.simple ?? []), "lr", "steps"].map((name) => {
      if (name === "scale" || name === "angle") {
        return SURFACES[now.surface].turns ? controls[name]() : null;
      }
      if (name === "steps") return controls.steps();
      const [key, place] = name.split(":");
      const which = now.optimizers.filter(
        ({ kind }, k) =>
          (!place || Number(place) === k + 1) && OPTIMIZERS[kind].fields.some((one) => one.key === key),
      );
      if (!which.length) return null;
      const one = OPTIMIZERS[which[0].kind].fields.find((field) => field.key === key);
      const whose = place && now.optimizers.length > 1 ? `, ${title(now.optimizers, place - 1)}` : "";
      return controls.setting(`${one.label}${whose}`, one, which);
    });
    return found.filter(Boolean).slice(0, 2);
  }

  // Playing: all points are known; they are only shown one after the other.
  let playing = 0;
  const play = button("Play", () => (playing ? stop() : begin()));
  function begin() {
    if (shown >= now.steps) shown = 0;
    play.textContent = "Pause";
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
    play.textContent = "Play";
    tell();
  }
  const one = (by) => () => {
    if (playing) stop();
    // Behind the last step comes the first one, and before the start the end.
    shown = (shown + by + now.steps + 1) % (now.steps + 1);
    redraw();
  };
  const back = button("Step back", one(-1));
  const reset = button("Reset", () => {
    watchers.forEach((watcher) => watcher.disconnect());
    if (playing) stop();
    forgetAddress(NAME);
    stage.replaceChildren();
    build(stage, preset, more);
    stage.querySelector(".ex-reset").focus();
  });
  reset.className = "ex-reset";
  const buttons = el("div", { class: "ex-buttons" }, play, back, button("Step", one(1)), reset);

  // The start by click or touch. A drag over the map scrolls the page as usual.
  map.addEventListener("click", (event) => {
    const box = map.getBoundingClientRect();
    const [x0, x1, y0, y1] = domain();
    const x = x0 + ((event.clientX - box.left) / box.width) * (x1 - x0);
    const y = y1 - ((event.clientY - box.top) / box.height) * (y1 - y0);
    now.start = [x, y].map((value) => Number(value.toPrecision(4)));
    tellStarts();
    changed();
  });

  // The legend; the canvas takes colours and dashes from its lines.
  const names = el("div", {});
  let inks = [];
  function drawNames() {
    names.replaceChildren(
      legend(now.optimizers.map((_, k) => [look(now.optimizers, k), title(now.optimizers, k)])),
    );
    inks = [...names.querySelectorAll("path")];
    now.optimizers.forEach((_, k) => {
      const box = list.children[k];
      if (!box) return;
      box.className = `ex-optimizer ${look(now.optimizers, k)}`;
      box.querySelector("legend").textContent = title(now.optimizers, k);
    });
  }

  // The optimizers.
  const list = el("div", { class: "ex-optimizers" });
  const add = button("Add an optimizer", () => {
    now.optimizers.push({ kind: "momentum", ...fitted("momentum") });
    drawOptimizers();
    changed();
    list.lastElementChild.querySelector("select").focus();
  });
  /** An optimizer's settings on this surface. */
  function fitted(kind) {
    const settings = defaults(kind);
    return { ...settings, lr: usual()[kind] ?? settings.lr };
  }
  function drawOptimizers() {
    list.replaceChildren(
      ...now.optimizers.map((settings, k) => {
        const kind = choice({
          label: `optimizer ${k + 1}`, value: settings.kind,
          options: Object.entries(OPTIMIZERS).map(([key, { title }]) => [key, title]),
          oninput: (value) => {
            now.optimizers[k] = { kind: value, ...fitted(value) };
            drawOptimizers();
            changed();
            list.children[k].querySelector("select").focus();
          },
        });
        const remove = button("Remove", () => {
          now.optimizers.splice(k, 1);
          drawOptimizers();
          changed();
          add.focus();
        });
        remove.setAttribute("aria-label", `Remove optimizer ${k + 1}`);
        remove.hidden = now.optimizers.length === 1;
        return el(
          "fieldset", {}, el("legend", {}), kind.node,
          ...OPTIMIZERS[settings.kind].fields.map(
            (one) => controls.setting(one.label, one, [settings]).node,
          ),
          remove,
        );
      }),
    );
    add.hidden = now.optimizers.length >= 4;
    drawNames();
  }

  // The plot that the page asks about stands beside the map, the other one among the settings.
  const [first, second] = preset.plot === "lengths" ? [lengths, losses] : [losses, lengths];
  const view = el("div", { class: "ex-view" }, map, first.node, names);
  const panel = el("div", { class: "ex-more", id: newId() });
  const end = el("div", { class: "ex-buttons" });
  const toggle = button("More settings", () => {
    more = !more;
    drawPanel();
    changed();
    // The button has moved; the map stays where it is.
    (more ? panel.querySelector("select") : toggle).focus({ preventScroll: true });
  });
  toggle.setAttribute("aria-controls", panel.id);
  function drawPanel() {
    toggle.setAttribute("aria-expanded", more);
    toggle.textContent = more ? "Fewer settings" : "More settings";
    back.hidden = !more;
    view.classList.toggle("ex-in-sight", more);
    // What is moved stands next to what it moves.
    panel[more ? "before" : "after"](buttons, status);
    (more ? end : buttons).append(toggle);
    if (more) {
      drawSurface();
      panel.replaceChildren(
        el("div", { class: "ex-row" }, surfaceBox, second.node), list,
        el("div", { class: "ex-buttons" }, add),
      );
    } else {
      starts = [];
      panel.replaceChildren(
        el("div", { class: "ex-simple" }, ...simpleControls().map((control) => control.node)),
      );
    }
  }

  // The theme is an attribute of the page; the canvases have to be told.
  const watchers = [
    new MutationObserver(() => redraw({ ground: true })), new ResizeObserver(() => redraw({ ground: true })),
  ];
  watchers[0].observe(document.documentElement, { attributeFilter: ["data-theme"] });
  watchers[1].observe(map);

  stage.append(view, panel, end);
  drawOptimizers();
  drawPanel();
  changed({ ground: true });
}
