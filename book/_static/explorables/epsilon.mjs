// What eps does: the length of a step for its three placements, and a run on a valley that goes
// from steps without the curvature to momentum as eps grows.

import { adam, biasCorrection } from "./rules.mjs";
import {
  Plot, announcer, el, legend, number, readAddress, short, slider, svg, tick, wholeSlider,
  writeAddress,
} from "./ui.mjs";

const DEFAULTS = { eps: 1e-8, g: 1e-6, t: 1, beta1: 0.9, beta2: 0.999, lr: 0.05, keep: true };
const LIMITS = {
  eps: [1e-10, 100], g: [1e-10, 10], t: [1, 10_000], beta1: [0, 0.99], beta2: [0, 0.9999],
  lr: [1e-3, 1],
};

// The valley is (1 x^2 + 0.01 y^2) / 2, the start (1, 1): there the gradients are the curvatures.
const CURVATURES = [1, 0.01];
const [STEEP, FLAT] = CURVATURES;
const START = [1, 1];
const STEPS = 200;
// Momentum with a rate that is too large doubles its size again and again; beyond this it is gone.
const GONE = 1e3;

// The first plot reaches beyond the sliders, so that a whole curve is seen at either end of eps.
const SIZES = [1e-12, 1e3];
const RANGE = [1e-5, 10];

/** Where eps is beside the two gradients of the start. */
function regimeOf(eps) {
  if (eps <= FLAT / 100) return "far below";
  if (eps < FLAT) return "just below";
  if (eps <= STEEP) return "between";
  return eps < 10 * STEEP ? "just above" : "far above";
}

/** The two coordinates over the steps: two arrays. A coordinate that is gone is NaN afterwards. */
function run(rule) {
  let [x, state] = [START, null];
  const path = START.map((xi) => [xi]);
  for (let t = 0; t < STEPS; t++) {
    const [next, update] = rule(state, x.map((xi, i) => CURVATURES[i] * xi));
    state = next;
    x = x.map((xi, i) => (Math.abs(xi) > GONE ? NaN : xi + update[i]));
    x.forEach((xi, i) => path[i].push(xi));
  }
  return path;
}

/** Momentum as a corrected average: Adam's numerator alone. */
function average(state, g, rate, beta) {
  const t = (state?.t ?? 0) + 1;
  const m = g.map((gi, i) => beta * (state?.m[i] ?? 0) + (1 - beta) * gi);
  return [{ t, m }, m.map((mi) => -rate * (mi / biasCorrection(beta, t)))];
}

const defaultSizes = () => {
  const count = 180;
  const [low, high] = SIZES.map(Math.log10);
  return Array.from({ length: count + 1 }, (_, k) => 10 ** (low + ((high - low) * k) / count));
};

/** All numbers that are shown. `sizes` are the gradients at which the three curves are wanted. */
export function compute(settings = {}) {
  const { eps, g, t, beta1, beta2, lr, keep } = { ...DEFAULTS, ...settings };
  const sizes = settings.sizes ?? defaultSizes();
  const epsBesideHat = eps / Math.sqrt(biasCorrection(beta2, t));
  const steps = {
    algorithm: (size) => size / (size + eps),
    hat: (size) => size / (size + epsBesideHat),
    inside: (size) => size / Math.sqrt(size ** 2 + eps),
  };
  const each = (f) => Object.fromEntries(Object.entries(steps).map(([key, h]) => [key, f(h)]));
  // Above the steep gradient of the start, lr / eps stays what it is there.
  const rate = keep ? lr * Math.max(1, eps / STEEP) : lr;
  let root = Infinity;
  const measured = (state, gradient) => {
    const result = adam(state, gradient, { lr: rate, beta1, beta2, eps });
    const [{ t: step, v }] = result;
    root = Math.min(root, ...v.map((vi) => Math.sqrt(vi / biasCorrection(beta2, step))));
    return result;
  };
  const paths = {
    adam: run(measured),
    momentum: run((state, gradient) => average(state, gradient, rate / eps, beta1)),
  };
  const gaps = paths.adam.flatMap((path, i) => path.map((x, k) => Math.abs(x - paths.momentum[i][k])));
  const gap = Math.max(...gaps);
  return {
    sizes,
    curves: each((h) => sizes.map(h)),
    at: each((h) => h(g)),
    rate,
    ratio: rate / eps,
    regime: regimeOf(eps),
    // The first steps of the two coordinates, in units of alpha.
    first: CURVATURES.map((c) => steps.algorithm(c)),
    // The smallest root of v-hat in the run, of both coordinates.
    root,
    // How far Adam is from momentum, at most; NaN where momentum is gone.
    gap,
    // For a small eps momentum leaves the plot at once, and there is nothing to compare.
    comparable: gap <= RANGE[1],
    ...paths,
  };
}

/** What the run shows, in words. */
function say({ eps, lr }, { regime, first, root, rate, ratio, gap, adam }) {
  const gradients = `gradients of the start, ${STEEP} (steep) and ${FLAT} (flat)`;
  const lengths = `First steps, in units of α: steep ${short(first[0])}, flat ${short(first[1])}.`;
  const begin = `ε = ${short(eps)} is`;
  if (regime === "far below") {
    const smallest = Number.isFinite(root) ? ` (its smallest value in this run is ${short(root, 2)})` : "";
    return (
      `${begin} far below both ${gradients}: the curvature cancels. Both coordinates begin with ` +
      `a step of α = ${short(rate)}, and move alike as long as √v̂ is far above ε${smallest}.`
    );
  }
  if (regime === "just below") {
    return (
      `${begin} below both ${gradients}, but no longer far below the flat one: ` +
      `at first mainly the flat coordinate is damped. ${lengths}`
    );
  }
  if (regime === "between") {
    return (
      `${begin} between the ${gradients}: ` +
      `at first the steep coordinate is damped less than the flat one. ${lengths}`
    );
  }
  const far = regime === "far above";
  const scaled = rate > lr ? ` (α is now ${short(rate)})` : "";
  const [steepWaits, flatWaits] = adam.map((path) => Math.abs(path.at(-1)) > 0.5);
  const distance = Number.isFinite(gap) ? ` Adam is never further than ${short(gap, 2)} from it.` : "";
  return (
    `${begin} ${far ? "far" : "a little"} above both ${gradients}: ${far ? "" : "nearly "}` +
    `momentum with α/ε = ${short(ratio)}${scaled}.${distance} ` +
    (steepWaits
      ? "With so small an α/ε both coordinates wait."
      : `The flat coordinate ${flatWaits ? "waits" : "comes later"}.`)
  );
}

/** What is read from the address, checked. */
function fromAddress(fallback) {
  const text = readAddress("epsilon");
  const names = { eps: "eps", g: "g", t: "t", beta1: "b1", beta2: "b2", lr: "lr" };
  const found = Object.fromEntries(
    Object.entries(names).map(([key, name]) => [
      key, number(text[name], ...LIMITS[key], fallback[key]),
    ]),
  );
  const keep = text.keep === "1" || (text.keep !== "0" && fallback.keep);
  return { ...found, t: Math.round(found.t), keep };
}

const LOOKS = { algorithm: "look-adam", hat: "look-third", inside: "look-second" };

/** The three placements with their formulas; returns the table and the cells of its numbers. */
function table() {
  const caption = el("caption");
  const power = () => [el("sub", {}, "2"), el("sup", {}, "t")];
  const rows = {
    algorithm: ["Algorithm 1", "|g| / (|g| + ε)"],
    hat: ["ε̂ beside √v, uncorrected", "|g| / (|g| + ε / √(1 − β", ...power(), "))"],
    inside: ["inside the root", "|g| / √(g² + ε)"],
  };
  const cells = {};
  const body = Object.entries(rows).map(([key, [name, ...formula]]) => {
    const line = svg(
      "svg",
      { viewBox: "0 0 44 10", width: 44, height: 10, "aria-hidden": "true", class: `ex-line ${LOOKS[key]}` },
      svg("path", { d: "M1 5H43" }),
    );
    cells[key] = el("td");
    const head = el("th", { scope: "row" }, el("span", {}, line, name), el("small", {}, ...formula));
    return el("tr", {}, head, cells[key]);
  });
  return { node: el("table", { class: "ex-values" }, caption, el("tbody", {}, ...body)), caption, cells };
}

/** Lines across the first plot for eps and the gradient, and the gradients of the run above it. */
function marks(plot, { eps, g }) {
  const { top, bottom } = plot.margin;
  const foot = plot.height - bottom;
  const lines = svg("g");
  const names = svg("g");
  const mark = (size, from, to, dash, dx, y, anchor, name) => {
    const x = plot.px(size);
    lines.append(svg("line", { x1: x, x2: x, y1: from, y2: to, "stroke-dasharray": dash }));
    names.append(svg("text", { x: x + dx, y, "text-anchor": anchor }, name));
  };
  mark(FLAT, 14, top, "none", 3, 11, "end", `first gradients of the run: flat ${FLAT}`);
  mark(STEEP, 14, top, "none", -3, 11, "start", `steep ${STEEP}`);
  // These names stand on the two outer sides of the lines, so they never cover each other.
  const [epsSide, gSide] = eps <= g ? [[-4, 29, "end"], [4, 29, "start"]] : [[4, 29, "start"], [-4, 29, "end"]];
  mark(eps, 19, foot, "1 3", ...epsSide, "ε");
  mark(g, 19, foot, "none", ...gSide, "gradient");
  plot.node.append(svg("g", { class: "ex-mark", "aria-hidden": "true" }, lines, names));
}

export default function build(stage, settings) {
  const now = fromAddress({ ...DEFAULTS, ...settings });
  const status = announcer();
  const values = table();
  const lengthPlot = new Plot({
    width: 360, height: 236,
    x: { scale: "log", range: SIZES, ticks: [1e-12, 1e-9, 1e-6, 1e-3, 1, 1e3], label: "size of a steady gradient" },
    y: { range: [0, 1.04], ticks: [0, 0.5, 1], label: "step (in units of α)" },
  });
  Object.assign(lengthPlot.margin, { top: 38, right: 18 });
  const runPlot = new Plot({
    width: 360, height: 236,
    x: { range: [0, STEPS], label: "step" },
    y: { scale: "log", range: RANGE, ticks: [1e-4, 0.01, 1], label: "distance to the minimum" },
  });
  Object.assign(runPlot.margin, { left: 58, right: 18 });
  const lines = legend([
    ["ex-steep", `steep (curvature ${STEEP})`],
    ["look-first", `flat (curvature ${FLAT})`],
    ["look-baseline", "momentum with α/ε"],
  ]);

  const draw = () => {
    const found = compute(now);
    const { curves, at } = found;
    lengthPlot.draw([
      ...Object.entries(LOOKS).map(([key, look]) => ({ x: found.sizes, y: curves[key], look })),
      ...Object.entries(LOOKS).map(([key, look]) => ({ x: [now.g], y: [at[key]], look, dots: true })),
    ]);
    marks(lengthPlot, now);
    for (const [key, cell] of Object.entries(values.cells)) cell.textContent = short(at[key]);
    values.caption.textContent = `Step in units of α, |g| = ${short(now.g)}, t = ${now.t}`;
    lengthPlot.label =
      `Length of a step against the size of a steady gradient, three rising curves, ε = ${short(now.eps)}. ` +
      `At the gradient ${short(now.g)}: Algorithm 1 ${short(at.algorithm)}, ` +
      `beside the root of the uncorrected v ${short(at.hat)}, inside the root ${short(at.inside)}.`;

    const steps = found.adam[0].map((_, k) => k);
    const line = (path, look) => ({ x: steps, y: path.map(Math.abs), look });
    runPlot.draw([
      line(found.adam[0], "ex-steep"),
      line(found.adam[1], "look-first"),
      ...(found.comparable ? found.momentum.map((path) => line(path, "look-baseline")) : []),
    ]);
    // Its place stays, so that no slider moves under the finger.
    lines.lastChild.style.visibility = found.comparable ? "visible" : "hidden";
    const ends = found.adam.map((path) => short(Math.abs(path.at(-1)), 2));
    runPlot.label =
      `Distance to the minimum over ${STEPS} steps of Adam from 1. ` +
      `At the end the steep coordinate is at ${ends[0]}, the flat one at ${ends[1]}.` +
      (found.comparable ? " Beside it momentum with α/ε." : "");
    status.say(say(now, found));
    const { eps, g, t, beta1: b1, beta2: b2, lr, keep } = now;
    writeAddress("epsilon", { eps, g, t, b1, b2, lr, keep: Number(keep) });
  };

  let waits = false;
  const redraw = () => {
    if (waits) return;
    waits = true;
    requestAnimationFrame(() => {
      waits = false;
      draw();
    });
  };
  const control = (kind, key, options) =>
    kind({
      ...options,
      ...(LIMITS[key] && { min: LIMITS[key][0], max: LIMITS[key][1] }),
      value: now[key],
      oninput: (x) => {
        now[key] = x;
        redraw();
      },
    });
  const eps = control(slider, "eps", { label: "ε", scale: "log", steps: 240 });
  const g = control(slider, "g", { label: "gradient |g|", scale: "log", steps: 220 });
  const t = control(wholeSlider, "t", { label: "step t" });
  const beta1 = control(slider, "beta1", { label: "β₁", scale: "decay", digits: 6 });
  const beta2 = control(slider, "beta2", { label: "β₂ (both plots)", scale: "decay", digits: 6 });
  const lr = control(slider, "lr", { label: "learning rate α", scale: "log", steps: 120 });
  const keep = control(tick, "keep", { label: "for ε > 1: hold α/ε fixed" });

  // The gradient can be chosen in the plot, too. A finger that goes up or down scrolls the page.
  const point = ({ clientX }) => {
    const box = lengthPlot.node.getBoundingClientRect();
    const x = ((clientX - box.left) / box.width) * lengthPlot.width;
    const [from, to] = SIZES.map(lengthPlot.px);
    const size = SIZES[0] * (SIZES[1] / SIZES[0]) ** ((x - from) / (to - from));
    const [low, high] = LIMITS.g;
    now.g = Number(Math.min(high, Math.max(low, size)).toPrecision(3));
    g.value = now.g;
    redraw();
  };
  lengthPlot.node.classList.add("ex-pick");
  lengthPlot.node.addEventListener("click", point);
  lengthPlot.node.addEventListener("pointermove", (event) => event.buttons && point(event));

  eps.node.classList.add("ex-stays");
  stage.append(
    eps.node,
    el(
      "div",
      { class: "ex-row" },
      el(
        "div",
        { class: "ex-panel" },
        el("p", {}, "One step: where is ε added?"),
        lengthPlot.node,
        el("div", { class: "ex-controls" }, g.node, t.node, beta2.node),
        values.node,
      ),
      el(
        "div",
        { class: "ex-panel" },
        el("p", {}, "A run of Algorithm 1 on a valley"),
        runPlot.node,
        lines,
        el("div", { class: "ex-controls" }, lr.node, beta1.node, keep.node),
        status.node,
      ),
    ),
  );
  draw();
}
