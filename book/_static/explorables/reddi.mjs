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
/** What the chapter uses for each; one's own problem starts as the second in other units. */
const CHAPTER = {
  three: { beta1: 0, beta2: 0.1, lr: 0.1, root: false, steps: 2000 },
  rare: { beta1: 0.9, beta2: 0.99, lr: 0.5, root: true, steps: 100_000 },
};
const DEFAULTS = { problem: "rare", steep: 101, period: 101, ...CHAPTER.rare };
const LIMITS = {
  steep: [1, 1000], period: [2, 200], beta1: [0, 0.99], beta2: [0, 0.9999],
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

/**
 * What to draw of a run on a logarithmic axis, with t from 1. `t`, `y`: per column the lowest and
 * the highest point. `line`: the same points as long as a period is wide enough to be seen, then
 * averages over whole periods.
 */
function thin(values, period) {
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
    const end = Math.min(last, Math.ceil((last + 1) ** ((column + 1) / COLUMNS)));
    if (end <= from) continue;
    if (3 * (end - from) > period) fine = false;
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
    paths: both((name) => thin(points[name], period)),
    regrets: both((name) => thin(costs[name], period)),
  };
}

const LOOKS = [["adam", "ex-first"], ["amsgrad", "ex-fourth"]];
const xy = ({ t, y }) => ({ x: t, y });
/** With its sign, and without an exponent, which is hard to read in a sentence. */
const signed = (value) =>
  (value > 0 ? "+" : "") + String(Number(value.toPrecision(3))).replace("-", "−");
/** A place in the interval: three places after the point. */
const place = (x) => (x > 0 ? "+" : "") + x.toFixed(3).replace("-", "−");
const THOUSANDS = { 10000: "10,000", "1e+5": "100,000" };
const grouped = (count) => count.toLocaleString("en-GB");

/** In words: which way Adam drifts, and from which beta2 on it is the right way. */
function verdict({ mean, best, drift, threshold, lastPeriod: { adam } }) {
  const drifts =
    `In the long run, away from the edges, Adam drifts by ${signed(drift)} learning rates a step`;
  if (best === null) return `The mean slope is 0: no point is better than another. ${drifts}.`;
  const point = `The mean slope is ${signed(mean)}, so ${best < 0 ? "−1" : "+1"} is the best point.`;
  // Rounding may leave a trace of a drift that is zero.
  const still = Math.abs(drift) < 1e-12;
  const way = drift * mean < 0 ? "to the right side" : "to the wrong side";
  // As many digits as tell the threshold from 1.
  const digits = Math.max(2, Math.ceil(-Math.log10(1 - threshold)) + 1);
  const where =
    threshold === 0
      ? "With this β₁ that is so for every β₂."
      : `For every β₂ above about ${threshold.toFixed(digits)} it is the right side.`;
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
  const given = { ...DEFAULTS, ...settings };
  const address = readAddress("reddi");
  for (const [name, [low, high]] of Object.entries(LIMITS)) {
    given[name] = number(address[name], low, high, given[name]);
  }
  given.period = Math.round(given.period);
  given.steps = Math.round(given.steps);
  if (["three", "rare", "own"].includes(address.problem)) given.problem = address.problem;
  if (address.root === "0" || address.root === "1") given.root = address.root === "1";
  return given;
}

export default function build(stage, settings = {}) {
  const now = readSettings(settings);
  const size = { width: 360, height: 216 };
  const plots = {
    paths: new Plot({
      ...size,
      x: { scale: "log", label: "step t" },
      y: { range: [-1.08, 1.08], label: "parameter θ" },
    }),
    regrets: new Plot({
      ...size,
      x: { scale: "log", label: "number of steps t" },
      y: { scale: "log", label: "regret per step, R(t)/t" },
    }),
  };
  const titles = {
    paths: "Where does it go? (grey: the best point)",
    regrets: "What does it cost? (grey: staying at the worst)",
  };
  for (const plot of Object.values(plots)) {
    plot.margin = { left: 56, right: 24, top: 24, bottom: 36 };
  }
  const results = el("div");
  const status = announcer();

  // A slider hands over one digit more than it shows; here what is shown is what is used.
  const asShown = (value) => Number(value.toPrecision(3));
  const control = (name, label, options) =>
    slider({
      label, min: LIMITS[name][0], max: LIMITS[name][1], value: now[name],
      oninput: (value) => change({ [name]: options.scale === "decay" ? value : asShown(value) }),
      ...options,
    });
  const controls = {
    problem: choice({
      label: "slopes", value: now.problem,
      options: [
        ["three", "3, −1, −1"],
        ["rare", "1010, 100 times −10"],
        ["own", "your own: C, then −1"],
      ],
      oninput: (problem) => change({ problem }),
    }),
    steep: control("steep", "steep slope C", { scale: "log", steps: 400 }),
    // A place of the slider for each whole number.
    period: control("period", "period n", { steps: LIMITS.period[1] - LIMITS.period[0] }),
    beta1: control("beta1", "β₁", { scale: "decay", digits: 4 }),
    beta2: control("beta2", "β₂", { scale: "decay", digits: 4 }),
    lr: control("lr", "learning rate", { scale: "log" }),
    root: tick({
      label: "divide it by √t", value: now.root, oninput: (root) => change({ root }),
    }),
    // In thousands, so that the number beside it stays short.
    steps: slider({
      label: "steps / 1000", min: LIMITS.steps[0] / 1000, max: LIMITS.steps[1] / 1000,
      value: now.steps / 1000, scale: "log",
      oninput: (thousands) => change({ steps: Math.round(1000 * asShown(thousands)) }),
    }),
  };
  const own = el(
    "div", {}, el("div", { class: "ex-controls" }, controls.steep.node, controls.period.node),
  );
  const chapter = button("Settings of the chapter", () => {
    const { steep, period } = DEFAULTS;
    const values = CHAPTER[now.problem] ?? { steep, period, ...CHAPTER.rare };
    for (const [name, value] of Object.entries(values)) {
      controls[name].value = name === "steps" ? value / 1000 : value;
    }
    change(values);
  });

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
      { x: all, y: [level, level], look: "ex-baseline" },
      ...LOOKS.map(([name, look]) => ({ ...xy(found[kind][name]), look: `${look} ex-range` })),
      ...LOOKS.map(([name, look]) => ({ ...xy(found[kind][name].line), look })),
    ];
    for (const plot of Object.values(plots)) plot.x.range = [1, found.steps + 1];
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
        text.textContent = THOUSANDS[text.textContent] ?? text.textContent;
      }
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
        ["ex-first", `Adam ${result("adam")}`],
        ["ex-fourth", `AMSGrad ${result("amsgrad")}`],
      ]),
    );
    plots.paths.label =
      `The parameter over the steps, on a logarithmic axis: ${after} Adam is ${ends("adam")}, ` +
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
        el("div", { class: "ex-buttons" }, chapter),
        status.node,
      ),
      el("div", {}, plots.paths.node, plots.regrets.node),
    ),
    results,
  );
}
