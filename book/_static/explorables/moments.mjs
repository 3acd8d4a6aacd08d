// Draw sixty gradients and see what Adam's two averages and its steps make of them.

import { adam, biasCorrection } from "./rules.mjs";
import {
  Plot, announcer, choice, el, legend, number, readAddress, short, slider, tick, writeAddress,
  ticks,
} from "./ui.mjs";

const STEPS = 60;
const LARGEST = 1000;
const MAX_BETA1 = 0.99;
const MAX_BETA2 = 0.9999;

/** Two decimals: what the address can hold is all there is. */
const round = (x) => Number(x.toFixed(2));
const sequence = (f) => Array.from({ length: STEPS }, (_, i) => round(f(i + 1)));

/** Normal numbers that are the same at every visit (mulberry32, then Box and Muller). */
function noise(seed) {
  let state = seed;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

const normal = noise(42);
export const PRESETS = {
  jump: ["a jump from 1 to 10", sequence((t) => (t <= STEPS / 2 ? 1 : 10))],
  constant: ["constant 1", sequence(() => 1)],
  alternating: ["alternating ±1", sequence((t) => (t % 2 ? 1 : -1))],
  spike: ["one spike, then zeros", sequence((t) => (t === 1 ? 1 : 0))],
  noise: ["noise around 0.2", sequence(() => 0.2 + 0.6 * normal())],
  growing: ["growing by 11 % a step", sequence((t) => 1.11 ** (t - 1))],
};
const DEFAULTS = { preset: "jump", beta1: 0.9, beta2: 0.999, correct: true, step: 30 };

/**
 * Follow Adam with eps = 0.
 *
 * The hats are corrected always; `correct` says which averages the steps are made of. A step is
 * m / sqrt(v), so the parameter moves by minus this many learning rates. It is NaN where it is 0/0.
 */
export function compute({
  gradients = PRESETS[DEFAULTS.preset][1],
  beta1 = DEFAULTS.beta1,
  beta2 = DEFAULTS.beta2,
  correct = DEFAULTS.correct,
} = {}) {
  const [m, v, mHat, vHat, steps] = [[], [], [], [], []];
  let state = null;
  for (const g of gradients) {
    let update;
    [state, [update]] = adam(state, [g], { lr: 1, beta1, beta2, eps: 0, correctBias: correct });
    m.push(state.m[0]);
    v.push(state.v[0]);
    mHat.push(state.m[0] / biasCorrection(beta1, state.t));
    vHat.push(state.v[0] / biasCorrection(beta2, state.t));
    steps.push(-update);
  }
  return { m, v, mHat, vHat, rootV: v.map(Math.sqrt), rootVHat: vHat.map(Math.sqrt), steps };
}

/** The smallest round number that is not less. */
function roundUp(size, firstDigits = [1, 2, 5, 10]) {
  const power = 10 ** Math.floor(Math.log10(size));
  return firstDigits.map((k) => Number((k * power).toPrecision(3))).find((k) => k >= size);
}

/** How far up and down the gradients can be drawn. */
const limitOf = (gradients) => roundUp(Math.max(2, ...gradients.map(Math.abs)));

/** How far down: to where gradients can be, or just below 0 while none of them is negative. */
const lowest = (gradients, limit) => (Math.min(...gradients) < 0 ? -1.1 : -0.15) * limit;

/** Sixty numbers from the address, or null. */
function parse(text) {
  const found = text.split("_").map((x) => number(x, -LARGEST, LARGEST, NaN));
  return found.length === STEPS && found.every(Number.isFinite) ? found.map(round) : null;
}

/** A panel, and over its inside a surface that a pointer can be moved on. */
function panel(label, height, last) {
  const plot = new Plot({
    width: 360, height: height + (last ? 36 : 10), y: { label },
    x: { range: [0.5, STEPS + 0.5], ticks: [1, 10, 20, 30, 40, 50, 60], label: last ? "step t" : "" },
  });
  plot.margin = { left: 50, right: 6, top: 6, bottom: last ? 36 : 10 };
  if (!last) plot.node.classList.add("ex-bare");
  const { left, right, top, bottom } = plot.margin;
  const [w, h] = [plot.width / 100, plot.height / 100];
  const surface = el("div", {
    style: `left:${left / w}%; right:${right / w}%; top:${top / h}%; bottom:${bottom / h}%`,
  });
  return { plot, surface, node: el("div", { class: "ex-surface" }, plot.node, surface) };
}

/** Where a pointer is in a surface, from 0 to 1. */
function placeIn(surface, event) {
  const box = surface.getBoundingClientRect();
  return {
    across: (event.clientX - box.left) / box.width,
    up: (box.bottom - event.clientY) / box.height,
  };
}

/** Call `move(place, isFirst)` while a pointer that `mayDraw` is down on a surface, then `end`. */
function follow(surface, { mayDraw, move, end }) {
  surface.addEventListener("pointerdown", (event) => {
    if (!event.isPrimary || event.button !== 0 || !mayDraw(event)) return;
    surface.setPointerCapture(event.pointerId);
    move(placeIn(surface, event), true);
  });
  surface.addEventListener("pointermove", (event) => {
    if (surface.hasPointerCapture(event.pointerId)) move(placeIn(surface, event), false);
  });
  surface.addEventListener("lostpointercapture", end);
}

const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
const stepAt = (across) => clamp(Math.round(across * STEPS + 0.5), 1, STEPS);

export default function build(stage, settings = {}) {
  const start = { ...DEFAULTS, ...settings };
  const address = readAddress("moments");
  const asked = address.g ?? start.preset;
  const drawn = parse(asked);
  let preset = drawn ? "own" : Object.hasOwn(PRESETS, asked) ? asked : DEFAULTS.preset;
  let gradients = [...(drawn ?? PRESETS[preset][1])];
  let limit = limitOf(gradients);
  let t = Math.round(number(address.t, 1, STEPS, start.step));

  const { node: status, say } = announcer();
  let frame = 0;
  const change = () => {
    if (!frame) frame = requestAnimationFrame(() => { frame = 0; show(); writeAddress("moments", toAddress()); });
  };

  const presets = choice({
    label: "gradients",
    options: [...Object.entries(PRESETS).map(([key, [text]]) => [key, text]), ["own", "your own"]],
    value: preset,
    oninput: (key) => {
      preset = key;
      if (key !== "own") {
        gradients = [...PRESETS[key][1]];
        limit = limitOf(gradients);
        newHeight();
      }
      change();
    },
  });
  const beta1 = slider({
    label: "β₁", max: MAX_BETA1, scale: "decay", oninput: change,
    value: number(address.b1, 0, MAX_BETA1, start.beta1),
  });
  const beta2 = slider({
    label: "β₂", max: MAX_BETA2, scale: "decay", oninput: change,
    value: number(address.b2, 0, MAX_BETA2, start.beta2),
  });
  const correct = tick({
    label: "bias correction", oninput: change,
    value: number(address.c, 0, 1, Number(start.correct)) !== 0,
  });
  const step = slider({
    label: "step t", min: 1, max: STEPS, steps: STEPS - 1, value: t,
    oninput: (value) => { t = value; change(); },
  });
  // Its ends follow the height of the plot.
  let height;
  const heightPlace = el("div");
  const newHeight = () => {
    height = slider({
      label: "gradient g", min: -limit, max: limit, steps: 400, value: gradients[t - 1],
      oninput: (value) => { set(t, value); change(); },
    });
    heightPlace.replaceChildren(height.node);
  };
  newHeight();

  function set(at, value) {
    gradients[at - 1] = round(value);
    preset = presets.value = "own";
  }

  const means = panel("g and m", 130);
  const sizes = panel("|g| and √v", 96);
  const moves = panel("step (learning rates)", 120, true);
  sizes.surface.className = moves.surface.className = "ex-pick";
  for (const { surface } of [means, sizes, moves]) {
    // At a click: a finger that scrolls the page passes over them.
    surface.addEventListener("click", (event) => {
      t = stepAt(placeIn(surface, event).across);
      change();
    });
  }
  // A finger that is put on the plot is there to scroll the page, unless its owner says otherwise.
  const finger = tick({
    label: "draw with the finger",
    oninput: (value) => {
      means.surface.classList.toggle("ex-draws", value);
      change();
    },
  });
  finger.node.hidden = !matchMedia("(any-pointer: coarse)").matches;
  const onlyFingers = matchMedia("(any-hover: none)").matches;
  const mayDraw = ({ pointerType }) => pointerType !== "touch" || finger.value;
  const hint = el("span", { "aria-hidden": "true" }, "draw here");
  let stroked = false;
  means.surface.append(hint);
  const names = el("div");
  let before = null;
  const draw = ({ across, up }, isFirst) => {
    t = stepAt(across);
    const [low, high] = means.plot.y.range;
    // A hundredth of the height is as fine as a finger can be, and zero is easy to hit.
    const exact = clamp((low + up * (high - low)) / limit, -1, 1);
    const value = limit * (Math.abs(exact) < 0.04 ? 0 : Math.round(100 * exact) / 100);
    if (isFirst) before = { t, value };
    // A quick hand skips steps: they get what lies on the straight line.
    const way = Math.abs(t - before.t);
    for (let k = 0; k <= way; k++) {
      const share = way ? k / way : 1;
      set(before.t + Math.sign(t - before.t) * k, before.value + share * (value - before.value));
    }
    before = { t, value };
    stroked = true;
    change();
  };
  // While a hand draws, the range must not move under it.
  const end = () => { before = null; change(); };
  follow(means.surface, { mayDraw, move: draw, end });

  const head = el("th", { scope: "col" });
  const cells = {};
  const row = (key, name) => {
    cells[key] = [el("td"), el("td")];
    return el("tr", {}, el("th", { scope: "row" }, name), ...cells[key]);
  };
  const numbers = el(
    "table",
    { class: "ex-numbers" },
    el(
      "thead",
      {},
      el("tr", {}, head, el("th", { scope: "col" }, "uncorrected"), el("th", { scope: "col" }, "corrected")),
    ),
    el("tbody", {}, row("m", "m"), row("v", "v"), row("root", "√v"), row("step", "step")),
  );

  function toAddress() {
    return {
      g: preset === "own" ? gradients.join("_") : preset,
      b1: beta1.value, b2: beta2.value, c: Number(correct.value), t,
    };
  }

  const x = sequence((i) => i);
  const bars = (values) => ({
    x: x.flatMap((i) => [i, i, i]), y: values.flatMap((g) => [0, g, NaN]), look: "ex-bars",
  });
  // The chosen step: a line through all panels, and a point on each curve.
  const cursor = ([low, high]) => ({ x: [t, t], y: [low, high], look: "ex-chosen" });
  const curve = (y, look) => [{ x, y, look }, { x: [t], y: [y[t - 1]], look, dots: true }];

  function show() {
    if (step.value !== t) step.value = t;
    if (height.value !== gradients[t - 1]) height.value = gradients[t - 1];
    const rates = { gradients, beta1: beta1.value, beta2: beta2.value };
    const raw = compute({ ...rates, correct: false });
    const hat = compute({ ...rates, correct: true });
    const { steps } = correct.value ? hat : raw;
    const both = (first, second) => [
      ...curve(first, "look-without-bias-correction"), ...(correct.value ? curve(second, "look-adam") : []),
    ];

    if (!before) means.plot.y.range = [lowest(gradients, limit), 1.1 * limit];
    means.plot.y.ticks = [-limit, -limit / 2, 0, limit / 2, limit].filter((g) => g >= means.plot.y.range[0]);
    means.plot.draw([bars(gradients), cursor(means.plot.y.range), ...both(raw.m, hat.mHat)]);
    Object.assign(sizes.plot.y, { range: [0, 1.1 * limit], ticks: [0, limit / 2, limit] });
    sizes.plot.draw([
      bars(gradients.map(Math.abs)), cursor(sizes.plot.y.range), ...both(raw.rootV, hat.rootVHat),
    ]);
    const usable = steps.filter(Number.isFinite);
    // Of few sizes, so that the scale does not change with every move of a hand.
    const end = (size) => (size > 0 ? 1.1 * roundUp(size, [1, 1.5, 2, 3, 5, 7.5, 10]) : 0);
    const range = [-end(-Math.min(...usable)), end(Math.max(...usable))];
    if (!(range[0] < range[1])) range[1] = 1;
    Object.assign(moves.plot.y, { range, ticks: ticks(...range, 4) });
    const look = correct.value ? "look-adam" : "look-without-bias-correction";
    // A step between two that are 0/0 has no line to be seen by.
    const alone = steps.map((s, k) =>
      Number.isFinite(steps[k - 1]) || Number.isFinite(steps[k + 1]) ? NaN : s,
    );
    // What comes after the chosen step is for the reader to guess.
    const soFar = (values) => values.map((s, k) => (k < t ? s : NaN));
    moves.plot.draw([
      cursor(range), ...curve(soFar(steps), look), { x, y: soFar(alone), look, dots: true },
    ]);

    const i = t - 1;
    head.textContent = `t = ${t}`;
    const fill = (key, first, second) => {
      for (const [k, value] of [first, second].entries()) {
        // 0/0 has no value.
        cells[key][k].textContent = Number.isNaN(value) ? "0/0" : short(value);
      }
    };
    fill("m", raw.m[i], hat.mHat[i]);
    fill("v", raw.v[i], hat.vHat[i]);
    fill("root", raw.rootV[i], hat.rootVHat[i]);
    fill("step", raw.steps[i], hat.steps[i]);
    cells.step[0].classList.toggle("ex-used", !correct.value);
    cells.step[1].classList.toggle("ex-used", correct.value);
    names.replaceChildren(
      legend([
        ["ex-bars", "gradient"], ["look-without-bias-correction", "m, √v (uncorrected)"],
        ...(correct.value ? [["look-adam", "m̂, √v̂ (corrected)"]] : []),
      ]),
    );
    hint.hidden = stroked || (onlyFingers && !finger.value);
    describe(steps);
  }

  function describe(steps) {
    const now = steps[t - 1];
    const lengths = steps.slice(0, t).map(Math.abs).filter((length) => !Number.isNaN(length));
    const longest = Math.max(...lengths);
    const averages = (name) => name + (correct.value ? " and its correction" : "");
    means.plot.label =
      `Bars: ${STEPS} gradients between ${short(Math.min(...gradients))} and ` +
      `${short(Math.max(...gradients))}. Lines: ${averages("m")}.`;
    sizes.plot.label = `Bars: sizes of the gradients. Lines: ${averages("root of v")}.`;
    moves.plot.label = lengths.length
      ? `Line: steps 1 to ${t} in learning rates. The longest is ${short(longest)}.`
      : "No steps: every gradient so far is zero.";
    if (Number.isNaN(now)) {
      say(`Step ${t}: 0/0; with any ε > 0 the step is 0.`);
      return;
    }
    const g = gradients[t - 1];
    const against =
      g === 0 ? "the gradient is 0" : `${now * g > 0 ? "against" : "along"} the gradient’s sign`;
    const way = now === 0 ? "" : `, ${against}`;
    const size = short(Math.abs(now));
    say(
      `Step ${t}: ${size} learning ${size === "1" ? "rate" : "rates"}${way}. ` +
        `The longest so far: ${short(longest)}.`,
    );
  }

  show();
  stage.append(
    el(
      "div",
      { class: "ex-moments ex-columns" },
      el("div", { class: "ex-panels" }, finger.node, means.node, sizes.node, moves.node, names),
      el(
        "div",
        {},
        el(
          "div",
          { class: "ex-controls" },
          presets.node, step.node, heightPlace, beta1.node, beta2.node, correct.node,
        ),
        numbers,
        status,
      ),
    ),
  );
}
