// Reddi's problem: linear losses on [-1, 1], one steep and then several gentle ones that oppose it,
// again and again. Adam beside AMSGrad, both without bias correction, both from 0.

import { biasCorrection } from "./rules.mjs";
import {
  Plot, announcer, button, choice, el, legend, number, readAddress, short, slider, svg, tick,
  writeAddress,
} from "./ui.mjs";

const PROBLEMS = {
  three: { steep: 3, gentle: 1, period: 3 },
  rare: { steep: 1010, gentle: 10, period: 101 },
};
/** What each starts with: what the chapter uses, or a constant rate at which the drift is seen. */
const STARTS = {
  three: { beta1: 0, beta2: 0.1, lr: 0.1, root: false, steps: 2000 },
  rare: { beta1: 0.9, beta2: 0.99, lr: 0.5, root: true, steps: 100_000 },
  own: { beta1: 0.9, beta2: 0.99, lr: 0.01, root: false, steps: 200_000 },
};
const DEFAULTS = { problem: "own", steep: 105, period: 101, ...STARTS.own };
const LIMITS = {
  steep: [1, 20_000], period: [2, 400], beta1: [0, 0.99], beta2: [0, 0.9999],
  lr: [1e-3, 1], steps: [100, 200_000],
};
/** Places across a plot; each keeps its lowest and its highest point, so 400 at most are kept. */
const COLUMNS = 199;

/** What a moving average repeats in the end when its input repeats. */
function periodicAverage(values, beta) {
  let average = 0;
  for (const x of values) average = beta * average + (1 - beta) * x;
  average /= biasCorrection(beta, values.length);
  return values.map((x) => (average = beta * average + (1 - beta) * x));
}

/** Adam's mean step over a period in the long run, in learning rates. */
function periodicDrift(g, beta1, beta2) {
  const m = periodicAverage(g, beta1);
  const v = periodicAverage(g.map((x) => x * x), beta2);
  return -m.reduce((sum, mk, k) => sum + mk / Math.sqrt(v[k]), 0) / g.length;
}

/** The beta2 above which the drift has the right sign; 0 if it always has, null if none is. */
function criticalBeta2(g, mean, beta1) {
  if (mean === 0) return null;
  const right = (exponent) => periodicDrift(g, beta1, 1 - 10 ** exponent) * mean < 0;
  // As `theory.critical_beta2`: from 1 downwards, until the direction is wrong for the first time.
  for (let k = 1; k <= 180; k++) {
    let [low, high] = [-9 + (k - 1) / 20, -9 + k / 20];
    if (right(high)) continue;
    for (let i = 0; i < 40; i++) {
      const middle = (low + high) / 2;
      if (right(middle)) low = middle;
      else high = middle;
    }
    return 1 - 10 ** low;
  }
  return 0;
}

/** Where the k-th column of an axis ends, for indices from 1 to last. */
const COLUMN_ENDS = {
  log: (k, last) => Math.ceil((last + 1) ** (k / COLUMNS)),
  linear: (k, last) => 1 + Math.ceil(((last - 1) * k) / COLUMNS),
};

/**
 * What to draw of a run, with t from 1. `t`, `y`: per column the lowest and the highest point.
 * `line`: the same points as long as a period is wide enough to be seen, then averages over whole
 * periods.
 */
function thin(values, period, scale) {
  const [t, y, line] = [[], [], { t: [], y: [] }];
  let fine = true;
  const add = (to, at, value) => {
    to.t.push(at);
    to.y.push(value);
  };
  const keep = (i) => {
    add({ t, y }, i + 1, values[i]);
    if (fine) add(line, i + 1, values[i]);
  };
  const last = values.length - 1;
  keep(0);
  for (let column = 0, from = 1; from < last; column++) {
    const end = Math.min(last, COLUMN_ENDS[scale](column + 1, last));
    if (end <= from) continue;
    // The first average needs a whole period behind it.
    if (3 * (end - from) > period && end >= period) fine = false;
    let [lowest, highest] = [from, from];
    for (let i = from + 1; i < end; i++) {
      if (values[i] < values[lowest]) lowest = i;
      if (values[i] > values[highest]) highest = i;
    }
    keep(Math.min(lowest, highest));
    if (lowest !== highest) keep(Math.max(lowest, highest));
    if (!fine) {
      const length = period * Math.max(1, Math.floor((end - from) / period));
      const middle = end - (length - 1) / 2;
      let sum = 0;
      for (let i = end - length; i < end; i++) sum += values[i];
      // The first average may reach back to before the last single point.
      if (middle > line.t.at(-1)) add(line, middle, sum / length);
    }
    from = end;
  }
  keep(last);
  return { t, y, line };
}

/** Where Adam and AMSGrad go, what it costs, and where Adam drifts. No bias correction, eps = 0. */
export function compute(settings = {}) {
  const given = { ...DEFAULTS, ...settings };
  const { steep, gentle, period } = PROBLEMS[given.problem] ?? { ...given, gentle: 1 };
  const { beta1, beta2, lr, root, steps } = given;
  const [weight1, weight2] = [1 - beta1, 1 - beta2];
  const points = { adam: new Float64Array(steps + 1), amsgrad: new Float64Array(steps + 1) };
  const costs = { adam: new Float64Array(steps), amsgrad: new Float64Array(steps) };
  let [m, v, largest, total] = [0, 0, 0, 0];
  let [x, y, paidX, paidY] = [0, 0, 0, 0];
  // The order of the operations is that of `reference.linear_trajectory`: the same to the last bit.
  for (let i = 0; i < steps; i++) {
    const g = i % period === 0 ? steep : -gentle;
    m = beta1 * m + weight1 * g;
    v = beta2 * v + weight2 * (g * g);
    if (v > largest) largest = v;
    // The best single point, chosen afterwards, is an end of the interval and pays -|total|.
    total += g;
    paidX += g * x;
    paidY += g * y;
    costs.adam[i] = (paidX + Math.abs(total)) / (i + 1);
    costs.amsgrad[i] = (paidY + Math.abs(total)) / (i + 1);
    const push = -(root ? lr / Math.sqrt(i + 1) : lr) * m;
    x = Math.max(-1, Math.min(1, x + push / Math.sqrt(v)));
    y = Math.max(-1, Math.min(1, y + push / Math.sqrt(largest)));
    points.adam[i + 1] = x;
    points.amsgrad[i + 1] = y;
  }
  const cycle = Array.from({ length: period }, (_, k) => (k === 0 ? steep : -gentle));
  const mean = (steep - (period - 1) * gentle) / period;
  const both = (f) => ({ adam: f("adam"), amsgrad: f("amsgrad") });
  return {
    steps, period, mean,
    best: mean === 0 ? null : mean > 0 ? -1 : 1,
    drift: periodicDrift(cycle, beta1, beta2),
    threshold: criticalBeta2(cycle, mean, beta1),
    final: both((name) => points[name][steps]),
    // A rare gradient throws the parameter off its edge: one point of a period says too little.
    lastPeriod: both((name) => {
      const end = points[name].subarray(-period);
      const average = end.reduce((sum, at) => sum + at, 0) / end.length;
      return { low: Math.min(...end), average, high: Math.max(...end) };
    }),
    regret: both((name) => costs[name][steps - 1]),
    paths: both((name) => thin(points[name], period, "linear")),
    regrets: both((name) => thin(costs[name], period, "log")),
  };
}

const LOOKS = [["adam", "look-adam"], ["amsgrad", "look-amsgrad"]];
const xy = ({ t, y }) => ({ x: t, y });
/** With its sign, and without an exponent, which is hard to read in a sentence. */
const signed = (value) =>
  (value > 0 ? "+" : "") + String(Number(value.toPrecision(3))).replace("-", "−");
/** A place in the interval: three places after the point. */
const place = (x) => {
  const rounded = Number(x.toFixed(3)) || 0; // no −0
  return (rounded > 0 ? "+" : "") + rounded.toFixed(3).replace("-", "−");
};
/** Whole numbers from a thousand on with their commas, other numbers as `short` has them. */
const grouped = (x) =>
  Number.isInteger(x) && x >= 1000 ? x.toLocaleString("en-GB") : short(x, 5);

/** Numbers of two digits, `density` places in each power of ten, without repetitions. */
function rounded(low, high, density) {
  const [a, b] = [Math.log10(low), Math.log10(high)].map((x) => Math.round(density * x));
  const all = Array.from({ length: b - a + 1 }, (_, k) => 10 ** ((a + k) / density));
  return [...new Set([low, ...all.slice(1, -1).map((x) => Number(x.toPrecision(2))), high])];
}
/** Decay rates 1 - x for such x. */
const rates = (highest) =>
  rounded(Number((1 - highest).toFixed(6)), 1, 50)
    .reverse()
    .map((x) => Number((1 - x).toFixed(6)));
const range = (low, high, step) =>
  Array.from({ length: Math.round((high - low) / step) }, (_, k) => low + k * step);
/** The places of the sliders: round numbers, and each slope that the chapter names. */
const PLACES = {
  steep: [
    ...range(1, 400, 1), ...range(400, 1000, 10), ...range(1000, 10_000, 100),
    ...range(10_000, 20_000, 500), 20_000,
  ],
  period: [...range(2, 400, 1), 400],
  beta1: rates(LIMITS.beta1[1]),
  beta2: rates(LIMITS.beta2[1]),
  lr: rounded(...LIMITS.lr, 20),
  steps: rounded(...LIMITS.steps, 20),
};

/** A slider over a list of numbers. It keeps another number that it is given, at the next place. */
function listSlider({ label, values, value, oninput }) {
  const placeOf = (x) =>
    values.reduce((best, y, k) => (Math.abs(x - y) < Math.abs(x - values[best]) ? k : best), 0);
  const last = values.length - 1;
  const inner = slider({
    label, max: last, steps: last, value: placeOf(value),
    oninput: (at) => {
      show(values[Math.round(at)]);
      oninput(values[Math.round(at)]);
    },
  });
  const show = (x) => {
    inner.node.querySelector("output").value = grouped(x);
    inner.node.querySelector("input").setAttribute("aria-valuetext", grouped(x));
  };
  show(value);
  return {
    node: inner.node,
    set value(x) {
      inner.value = placeOf(x);
      show(x);
    },
  };
}

/** In words: where Adam drifts, and from which beta2 on to the best point. */
function verdict({ mean, best, drift, threshold, lastPeriod: { adam } }) {
  const drifts =
    `In the long run, away from the edges, Adam drifts by ${signed(drift)} learning rates a step`;
  if (best === null) return `The mean slope is 0: no point is better than another. ${drifts}.`;
  const point = `The mean slope is ${signed(mean)}, so ${best < 0 ? "−1" : "+1"} is the best point.`;
  // Rounding may leave a trace of a drift that is zero.
  const still = Math.abs(drift) < 1e-12;
  const way = `to the ${drift * mean < 0 ? "best" : "worst"} point`;
  // As many digits as tell the threshold from 1.
  const digits = Math.max(2, Math.ceil(-Math.log10(1 - threshold)) + 1);
  const where =
    threshold === 0
      ? "With this β₁ it drifts to the best point for every β₂."
      : `For every β₂ above about ${threshold.toFixed(digits)} it drifts to the best point.`;
  const said = still ? "In the long run Adam does not drift" : `${drifts}: ${way}`;
  const wild =
    adam.low === -1 && adam.high === 1
      ? " Here one period leads from edge to edge: the learning rate is too large."
      : "";
  return `${point} ${said}. ${where}${wild}`;
}

/** A regret may pass through 0 on its way: such a dip shall not stretch the axis. */
function regretRange({ regrets, regret }, worst) {
  const positive = (values) => values.filter((value) => value > 0);
  const drawn = positive([...regrets.adam.y, ...regrets.amsgrad.y, worst]);
  const floor = 0.3 * Math.min(...positive([regret.adam, regret.amsgrad, worst]));
  const low = Math.max(Math.min(...drawn) / 1.2, floor);
  const decade = 10 ** Math.floor(Math.log10(low));
  // Down to the next power of ten if it is near: then it has a label.
  return [low < 1.6 * decade ? decade / 1.05 : low, Math.max(...drawn) * 1.2];
}

function readSettings(settings) {
  const address = readAddress("reddi");
  const problems = Object.keys(STARTS);
  const problem = [address.problem, settings.problem].find((name) => problems.includes(name));
  const given = { ...DEFAULTS, ...STARTS[problem ?? "own"], ...settings };
  if (problem) given.problem = problem;
  for (const [name, [low, high]] of Object.entries(LIMITS)) {
    given[name] = number(address[name], low, high, given[name]);
  }
  given.period = Math.round(given.period);
  given.steps = Math.round(given.steps);
  if (address.root === "0" || address.root === "1") given.root = address.root === "1";
  return given;
}

/**
 * Write the name of a horizontal line above or below it, at its left or right end: where the curves
 * leave most room. It stands behind the curves.
 */
function nameLine(plot, level, name, curves) {
  const { width, height, margin } = plot;
  const [left, right] = [margin.left + 4, width - margin.right - 4];
  const line = plot.py(level);
  const points = curves.flatMap(({ x, y }) => x.map((at, k) => [plot.px(at), plot.py(y[k])]));
  // About 6.2 units for a letter, and a little room around them.
  const long = 6.2 * name.length;
  let best;
  for (const y of [line + 16, line - 9]) {
    if (y > height - margin.bottom || y < margin.top + 9) continue;
    for (const [x, anchor, from] of [[left, "start", left], [right, "end", right - long]]) {
      const inside = ([px, py]) => px > from && px < from + long && py > y - 13 && py < y + 5;
      const crossed = points.filter(inside).length;
      if (!best || crossed < best.crossed) best = { x, y, anchor, crossed };
    }
  }
  const { x, y, anchor } = best;
  plot.node.querySelector(".ex-line").before(
    svg("g", { class: "ex-text ex-name" }, svg("text", { x, y, "text-anchor": anchor }, name)),
  );
}

export default function build(stage, settings = {}) {
  const now = readSettings(settings);
  const size = { width: 360, height: 216 };
  const plots = {
    paths: new Plot({
      ...size,
      x: { label: "step t" },
      y: { range: [-1.08, 1.08], label: "parameter θ" },
    }),
    regrets: new Plot({
      ...size,
      x: { scale: "log", label: "number of steps t" },
      y: { scale: "log", label: "regret per step, R(t)/t" },
    }),
  };
  const titles = {
    paths: "Where does it go?",
    regrets: "What does it cost?",
  };
  for (const plot of Object.values(plots)) {
    plot.margin = { left: 56, right: 24, top: 24, bottom: 36 };
  }
  const results = el("div");
  const status = announcer();

  const control = (name, label) =>
    listSlider({
      label, values: PLACES[name], value: now[name],
      oninput: (value) => change({ [name]: value }),
    });
  const controls = {
    problem: choice({
      label: "slopes", value: now.problem,
      options: [
        ["three", "3, then −1 twice"],
        ["rare", "1010, then 100 × −10"],
        ["own", "your own: C, then −1"],
      ],
      // Settings that make one problem interesting make another dull.
      oninput: (problem) => set({ problem, ...STARTS[problem] }),
    }),
    steep: control("steep", "steep slope C"),
    period: control("period", "period n"),
    beta1: control("beta1", "β₁"),
    beta2: control("beta2", "β₂"),
    lr: control("lr", "learning rate"),
    root: tick({
      label: "learning rate / √t", value: now.root, oninput: (root) => change({ root }),
    }),
    steps: control("steps", "steps"),
  };
  const own = el(
    "div", {}, el("div", { class: "ex-controls" }, controls.steep.node, controls.period.node),
  );
  const reset = button("Reset", () => {
    const { steep, period } = DEFAULTS;
    set({ ...(now.problem === "own" ? { steep, period } : {}), ...STARTS[now.problem] });
  });

  function set(values) {
    for (const [name, value] of Object.entries(values)) controls[name].value = value;
    change(values);
  }

  let frame;
  function change(values) {
    Object.assign(now, values);
    frame ??= requestAnimationFrame(() => {
      frame = undefined;
      draw();
      writeAddress("reddi", { ...now, root: now.root ? 1 : 0 });
    });
  }

  function draw() {
    const found = compute(now);
    const all = [1, found.steps];
    const lines = (kind, level) => [
      { x: all, y: [level, level], look: "look-baseline" },
      ...LOOKS.map(([name, look]) => ({ ...xy(found[kind][name]), look: `${look} ex-range` })),
      ...LOOKS.map(([name, look]) => ({ ...xy(found[kind][name].line), look })),
    ];
    plots.paths.x.range = [0, found.steps];
    plots.regrets.x.range = [1, found.steps];
    plots.paths.draw(lines("paths", found.best ?? NaN));
    const worst = 2 * Math.abs(found.mean);
    plots.regrets.y.range = regretRange(found, worst);
    plots.regrets.draw(lines("regrets", worst));
    for (const [kind, plot] of Object.entries(plots)) {
      plot.node.append(
        svg(
          "g", { class: "ex-text ex-title" },
          svg("text", { x: plot.margin.left, y: 14 }, titles[kind]),
        ),
      );
      for (const text of plot.node.querySelectorAll("text")) {
        if (/^\d{4,}$/.test(text.textContent)) text.textContent = grouped(Number(text.textContent));
      }
    }
    if (found.best !== null) {
      const curves = (kind) => Object.values(found[kind]).map(xy);
      nameLine(plots.paths, found.best, "best point", curves("paths"));
      const cost = `always at the worst: ${short(worst)}`;
      nameLine(plots.regrets, worst, cost, curves("regrets"));
    }
    const after = `after ${grouped(found.steps)} steps`;
    const ends = (name) => {
      const { low, average, high } = found.lastPeriod[name];
      return place(low) === place(high)
        ? `at ${place(low)}`
        : `near ${place(average)} (${place(low)} to ${place(high)} in a period)`;
    };
    const result = (name) => `ends ${ends(name)}; regret per step ${short(found.regret[name])}`;
    results.replaceChildren(
      legend([
        ["look-adam", `Adam ${result("adam")}`],
        ["look-amsgrad", `AMSGrad ${result("amsgrad")}`],
      ]),
    );
    plots.paths.label =
      `The parameter over the steps: ${after} Adam is ${ends("adam")}, ` +
      `AMSGrad ${ends("amsgrad")}.`;
    plots.regrets.label =
      `The regret per step over the number of steps, both logarithmic: ${after} Adam's is ` +
      `${short(found.regret.adam)}, AMSGrad's ${short(found.regret.amsgrad)}.`;
    own.hidden = now.problem !== "own";
    status.say(verdict(found));
  }

  draw();
  stage.append(
    el(
      "div",
      { class: "ex-row" },
      el(
        "div",
        { class: "ex-reddi" },
        el(
          "div",
          { class: "ex-controls" },
          controls.problem.node, own, controls.beta1.node, controls.beta2.node, controls.lr.node,
          controls.root.node, controls.steps.node,
        ),
        el("div", { class: "ex-buttons" }, reset),
        status.node,
      ),
      el("div", {}, plots.paths.node, plots.regrets.node),
    ),
    results,
  );
}
