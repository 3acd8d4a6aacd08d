// The longest step: gradients, the steps that Adam makes of them, and two bounds on these, one true.

import { adam, biasCorrection, paperStepBound, stepSupremum } from "./rules.mjs";
import {
  Plot, announcer, button, choice, el, legend, number, readAddress, short, slider, ticks, writeAddress,
} from "./ui.mjs";

const MOST = 10000;
// A line of more points than this looks no different.
const POINTS = 1000;
// What is longer by less than this was rounded.
const ROUNDED = 1e-9;
const DEFAULTS = { beta1: 0.9, beta2: 0.999, t: 100, sequence: "grow", R: 100 };
// The bound at each step: a broad line.
const BOUND = "look-second ex-broad";
const SEQUENCES = [
  ["grow", "each β₂/β₁ times the last"],
  ["spike", "zeros, then one gradient"],
  ["jump", "steady, then a jump by R"],
];
const RATES = [
  ["usual (0.9, 0.999)", 0.9, 0.999],
  ["language models (0.9, 0.95)", 0.9, 0.95],
  ["equal (0.9, 0.9)", 0.9, 0.9],
  ["no bound (0.95, 0.9)", 0.95, 0.9],
];
// What a million gradients of 1 leave behind: both corrections are used up.
const STEADY = { t: 1e6, m: [1], v: [1] };

/** The lengths of Adam's steps, eps = 0, on gradients of which the logarithms are given. */
function lengths(logs, state, scale, beta1, beta2) {
  // The state is kept in units of e**scale. Adam does not care about the scale, and gradients that
  // grow for a thousand steps would leave what a float can hold.
  return logs.map((log) => {
    const next = Math.max(log, state ? scale + Math.log(state.v[0]) / 2 : -Infinity);
    if (next > -Infinity) {
      const f = Math.exp(scale - next);
      if (state) state = { t: state.t, m: [state.m[0] * f], v: [state.v[0] * f * f] };
      scale = next;
    }
    const g = log > -Infinity ? Math.exp(log - scale) : 0;
    let update;
    [state, update] = adam(state, [g], { lr: 1, beta1, beta2, eps: 0 });
    // 0/0 before the first gradient that is not zero: with any eps > 0 the step is 0.
    return Number.isNaN(update[0]) ? 0 : -update[0];
  });
}

/** What the last gradient alone does, both corrections left out. */
const lone = (beta1, beta2) => (1 - beta1) / Math.sqrt(1 - beta2);

/** The corrections, by which a step is longer or shorter than without them. */
const correction = (t, beta1, beta2) =>
  Math.sqrt(biasCorrection(beta2, t)) / biasCorrection(beta1, t);

/** The longest possible step at each of the steps 1 to t: the theorem's S_t. */
function supremum(t, beta1, beta2) {
  const first = lone(beta1, beta2);
  const ratio = beta1 === 0 ? 0 : beta1 / Math.sqrt(beta2);
  let uncorrected = first;
  return Array.from({ length: t }, (_, i) => {
    // The root of first**2 * (1 + c + c**2 + ...), where c is ratio**2.
    if (i > 0) uncorrected = Math.hypot(first, ratio * uncorrected);
    return uncorrected * correction(i + 1, beta1, beta2);
  });
}

/** All numbers that are shown. */
export function compute(settings = {}) {
  const { beta1, beta2, t, sequence, R } = { ...DEFAULTS, ...settings };
  // Without beta1 or beta2 no sequence grows by beta2/beta1.
  const shown = sequence === "grow" && (beta1 === 0 || beta2 === 0) ? "spike" : sequence;
  const before = shown === "jump" ? Math.max(3, Math.round(t / 10)) : 0;
  const x = Array.from({ length: before + t }, (_, i) => i + 1 - before);
  const growth = beta2 / beta1;
  const logGrowth = Math.log(beta2) - Math.log(beta1);
  const logs = {
    grow: () => x.map((k) => (k - 1) * logGrowth),
    spike: () => x.map((k) => (k < t ? -Infinity : 0)),
    jump: () => x.map((k) => (k < 1 ? 0 : Math.log(R))),
  }[shown]();
  const highest = Math.max(logs[0], logs.at(-1));
  const start = shown === "jump" ? [STEADY, 0] : [null, -Infinity];
  const steps = lengths(logs, ...start, beta1, beta2);
  const limit = stepSupremum(beta1, beta2);
  const paper = paperStepBound(beta1, beta2);
  const longest = Math.max(...steps);
  const breaking = steps.findIndex((step) => step > paper * (1 + ROUNDED));
  return {
    shown, x, steps, limit, paper, growth, longest,
    // Steps of the sequence that attains the bound grow on, in the end by less than is rounded.
    at: shown === "grow" ? t : x[steps.indexOf(longest)],
    // Relative to the largest of them.
    gradients: logs.map((log) => Math.exp(log - highest)),
    decades: (logs.at(-1) - logs[0]) / Math.LN10,
    // A million steps after the start the bound is its limit.
    bound: shown === "jump" ? x.map(() => limit) : supremum(t, beta1, beta2),
    earlier: shown === "spike" ? x.map((k) => lone(beta1, beta2) * correction(k, beta1, beta2)) : null,
    // The first step that is longer than the paper's bound, and how long it is.
    first: breaking < 0 ? null : x[breaking],
    breaking: breaking < 0 ? null : steps[breaking],
    // By this sequence or another one.
    breakable: beta1 !== 0 && beta1 !== beta2,
  };
}

const SUPERSCRIPT = "⁰¹²³⁴⁵⁶⁷⁸⁹";
/** 10**decades in words; a float might not hold it. */
function power(decades) {
  if (Math.abs(decades) < 6) return short(10 ** decades);
  const digits = String(Math.abs(Math.round(decades))).replace(/\d/g, (d) => SUPERSCRIPT[d]);
  return `about 10${decades < 0 ? "⁻" : ""}${digits}`;
}

/** Learning rates with four digits, or as many as tell them from `other`. */
function times(value, other = 1) {
  if (value === Infinity) return "more than 10³⁰⁸";
  let digits = 4;
  const apart = Math.abs(value / other - 1) > ROUNDED;
  while (apart && short(value, digits) === short(other, digits)) digits++;
  return short(value, digits);
}

/** What the sequence is. */
function describe({ beta1, beta2, t, sequence, R }, { shown, growth, decades }) {
  if (shown === "jump") {
    return R === 1
      ? "Steady gradients, without a jump."
      : `Gradients that were steady for long jump to ${short(R)} times their size at step 1.`;
  }
  if (t === 1) return "The first gradient alone: whatever it is, the step is one learning rate.";
  if (shown === "spike") {
    const only = `${t - 1} ${t === 2 ? "zero" : "zeros"}, then one gradient.`;
    if (sequence === "spike") return only;
    return beta1 === 0
      ? "For β₁ = 0 nothing can grow by β₂/β₁; what attains the bound is a spike after zeros, " +
          `and that is shown: ${only}`
      : `For β₂ = 0 nothing can grow by β₂/β₁, and no sequence makes the longest step. Shown are ${only}`;
  }
  if (beta1 === beta2) {
    return "As β₁ = β₂, the gradients that attain the bound do not grow: they are all the same.";
  }
  const whole =
    `Each gradient is ${short(growth, 5)} times the one before, ` +
    `and the last is ${power(decades)} times the first.`;
  if (Math.abs(decades) < 308) return whole;
  return `${whole} No float holds both; but the scale does not matter to Adam, and the run is rescaled at every step.`;
}

/** The numbers, in words. */
function report(settings, found) {
  const { t, beta1 } = settings;
  const { longest, at, bound, limit, paper, first, breakable, shown } = found;
  const last = bound.at(-1);
  const jump = shown === "jump";
  const place = (k) => (jump ? `${k} ${k === 1 ? "step" : "steps"} after the jump` : `at step ${k}`);
  const where = longest > 1 + ROUNDED || shown === "spike" ? `, ${place(at)}` : "";
  const sentences = [
    describe(settings, found),
    `Longest step of this sequence: ${times(longest, paper)} learning ${times(longest) === "1" ? "rate" : "rates"}${where}.`,
  ];
  if (limit < Infinity) {
    const now = jump ? "" : `${times(last)} at step ${t}, `;
    sentences.push(`Longest possible: ${now}${times(limit)} at any step.`);
  } else {
    const now = jump || last === Infinity ? "" : ` At step ${t} it is ${times(last)}.`;
    sentences.push(`The longest possible step grows without bound, as β₁² ≥ β₂.${now}`);
  }
  const bounded = `The paper’s bound, ${times(paper, longest)},`;
  const excess = 100 * (longest / paper - 1);
  const size = excess < 1000 ? `by ${short(excess, 2)}\u00a0%` : `by a factor of ${times(longest / paper)}`;
  if (first === at) sentences.push(`${bounded} is broken ${place(at)}, ${size}.`);
  else if (first !== null) sentences.push(`${bounded} is first broken ${place(first)}; ${place(at)} ${size}.`);
  else if (!breakable) sentences.push(`${bounded} holds: it is the true one for ${beta1 === 0 ? "β₁ = 0" : "β₁ = β₂"}.`);
  else if (shown === "grow") sentences.push(`${bounded} is not broken up to step ${t}.`);
  else sentences.push(`${bounded} is not broken by this sequence; others break it.`);
  return sentences.join("\n");
}

/** What is drawn: of a long sequence every so many points, and those that must not be missed. */
function thin(found) {
  const { x, at } = found;
  const by = Math.ceil(x.length / POINTS);
  const kept = x.map((k, i) => i % by === 0 || k === at || k === 1 || i > x.length - 3);
  const pick = (values) => values && values.filter((_, i) => kept[i]);
  const parts = ["x", "gradients", "steps", "bound", "earlier"].map((key) => [key, pick(found[key])]);
  return { ...found, ...Object.fromEntries(parts) };
}

/** y, with what is above `top` left out, but for one point: the line is to leave the picture. */
const cut = (y, top) => y.map((v, i) => (v > top && (i === 0 || y[i - 1] > top) ? NaN : v));

/** A slider for whole numbers from 1 to `MOST`, all small ones and then about 40 for each decade. */
function counter({ label, value, oninput }) {
  const places = [...new Set(Array.from({ length: 161 }, (_, i) => Math.round(10 ** (i / 40))))];
  let exact = value;
  const inner = slider({
    label, min: 0, max: places.length - 1, steps: places.length - 1,
    value: places.findIndex((n) => n >= value),
    oninput: (place) => {
      exact = places[place];
      show();
      oninput(exact);
    },
  });
  const show = () => {
    inner.node.querySelector("output").value = exact;
    inner.node.querySelector("input").setAttribute("aria-valuetext", exact);
  };
  show();
  return inner.node;
}

export default function build(stage, given = {}) {
  const from = { ...DEFAULTS, ...given };
  const address = readAddress("step");
  const settings = {
    beta1: number(address.b1, 0, 0.99, from.beta1),
    beta2: number(address.b2, 0, 0.9999, from.beta2),
    t: Math.round(number(address.t, 1, MOST, from.t)),
    sequence: SEQUENCES.some(([key]) => key === address.seq) ? address.seq : from.sequence,
    R: number(address.r, 1, 1000, from.R),
  };

  // 360 units: on a phone the text of 12 units has nearly 12 pixels.
  const size = { width: 360, height: 240 };
  const gradientPlot = new Plot({ ...size, x: {}, y: {} });
  const stepPlot = new Plot({ ...size, x: {}, y: {} });
  // Room for 1e−300.
  for (const plot of [gradientPlot, stepPlot]) Object.assign(plot.margin, { left: 74, right: 16 });
  const keys = el("div");
  const status = announcer();
  status.node.classList.add("ex-lines");

  const drawGradients = ({ x, gradients, shown }, across) => {
    gradientPlot.x = across;
    const label = "gradient (largest = 1)";
    const dots = x.length <= 40;
    if (shown === "spike") {
      // Zeros have no place on a logarithmic axis.
      gradientPlot.y = { range: [0, 1.1], ticks: [0, 1], label };
      const stem = { x: [x.at(-1), x.at(-1)], y: [0, 1], dots: true };
      gradientPlot.draw([{ x: x.slice(0, -1), y: gradients.slice(0, -1), dots }, stem]);
      return;
    }
    const low = Math.max(1e-300, Math.min(...gradients));
    const room = Math.max(1.5, low ** -0.04);
    // Down from 1.
    const by = Math.ceil(-Math.log10(low) / 6);
    const marks = low > 0.1 ? [1, 0.5, 0.2] : Array.from({ length: 7 }, (_, k) => 10 ** (-k * by));
    gradientPlot.y = {
      scale: "log", range: [low / room, room], ticks: marks.filter((v) => v >= low / room), label,
    };
    gradientPlot.draw([{ x, y: gradients, dots }]);
  };

  const drawSteps = ({ x, steps, bound, earlier, limit, paper, longest, shown, first, breaking }, across) => {
    const high = Math.max(paper, 1, ...steps.filter(Number.isFinite));
    // Only where there is no bound do steps grow beyond all measure.
    const log = longest > 200;
    const near = shown === "jump" ? limit : Math.max(bound.at(-1), limit);
    const top = near < 3 * high ? near : high;
    stepPlot.x = across;
    stepPlot.y = {
      label: "length of step (learning rates)",
      ...(log ? { scale: "log", range: [0.5, Math.min(1e308, top * 2)] } : { range: [0, top * 1.08] }),
    };
    const level = (value, look) => ({ x: across.range, y: value <= top ? [value, value] : [], look });
    stepPlot.draw([
      // Under the others: a sequence that attains the bound lies on it.
      ...(shown === "jump" ? [] : [{ x, y: cut(bound, top * 1.08), look: BOUND }]),
      ...(earlier ? [{ x, y: cut(earlier, top * 1.08), look: "look-baseline" }] : []),
      level(limit, "look-first"),
      level(paper, "look-third"),
      { x, y: steps, look: "look-adam", dots: x.length <= 40 },
      // Where the paper's bound is broken first.
      ...(first === null ? [] : [{ x: [first], y: [breaking], look: "ex-crossing", dots: true }]),
    ]);
  };

  const draw = () => {
    const found = compute(settings);
    const { x, shown, bound, limit, paper, longest, earlier } = found;
    const range = x.length > 1 ? [x[0], x.at(-1)] : [0, 2];
    const across = {
      range,
      ticks: ticks(...range).filter(Number.isInteger),
      label: shown === "jump" ? "steps after the jump" : "step",
    };
    const drawn = thin(found);
    drawGradients(drawn, across);
    drawSteps(drawn, across);
    gradientPlot.label = `The gradients. ${describe(settings, found)}`;
    const none = limit === Infinity;
    stepPlot.label =
      `Length of Adam’s steps, at most ${times(longest)} learning rates, beside the paper’s bound, ` +
      `${times(paper)}; ${none ? "no step is the longest possible" : `the longest possible is ${times(limit)}`}.`;
    keys.replaceChildren(
      legend([
        ["look-adam", `this sequence (longest: ${times(longest, paper)})`],
        ...(earlier ? [["look-baseline", "the one gradient, had it come earlier"]] : []),
        ...(shown === "jump" ? [] : [[BOUND, `longest possible at step t (last: ${times(bound.at(-1))})`]]),
        ...(none ? [] : [["look-first", `longest possible at any step (limit): ${times(limit)}`]]),
        ["look-third", `paper’s bound: ${times(paper, longest)}`],
      ]),
    );
    status.say(report(settings, found));
  };

  let waiting = false;
  const change = (key) => (value) => {
    settings[key] = value;
    changed();
  };
  const changed = () => {
    const { beta1, beta2, t, sequence, R } = settings;
    writeAddress("step", { b1: beta1, b2: beta2, t, seq: sequence, r: R });
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  };

  const ratio = slider({
    label: "jump R", min: 1, max: 1000, scale: "log", value: settings.R, oninput: change("R"),
  });
  const place = el("div");
  const showRatio = () => place.replaceChildren(...(settings.sequence === "jump" ? [ratio.node] : []));
  // 100 places: 0.9, 0.99 and 0.999 are among them.
  const rate = (key, label, max) =>
    slider({
      label, max, scale: "decay", steps: 100, digits: 4, value: settings[key], oninput: change(key),
    });
  const beta1 = rate("beta1", "decay rate β₁", 0.99);
  const beta2 = rate("beta2", "decay rate β₂", 0.9999);
  const sequence = choice({
    label: "gradients", options: SEQUENCES, value: settings.sequence,
    oninput: (value) => {
      change("sequence")(value);
      showRatio();
    },
  });
  const count = counter({ label: "steps t", value: settings.t, oninput: change("t") });
  showRatio();
  draw();
  stage.append(
    el(
      "div", { class: "ex-row" },
      el("div", { class: "ex-controls" }, sequence.node, count, place),
      el("div", { class: "ex-controls" }, beta1.node, beta2.node),
    ),
    el(
      "div", { class: "ex-buttons", role: "group", "aria-label": "β₁ and β₂" },
      ...RATES.map(([text, b1, b2]) =>
        button(text, () => {
          beta1.value = settings.beta1 = b1;
          beta2.value = settings.beta2 = b2;
          changed();
        }),
      ),
    ),
    el("div", { class: "ex-row" }, gradientPlot.node, stepPlot.node),
    keys,
    status.node,
  );
}
