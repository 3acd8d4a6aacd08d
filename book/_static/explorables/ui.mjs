// What the explorables share: controls that keyboard, touch and screen readers can use, a line
// plot, and the state of an explorable in the page's address.

const SVG = "http://www.w3.org/2000/svg";

/** Create an HTML element; attributes whose name begins with "on" are listeners. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

let lastId = 0;
/** A new id, for labels. */
export const newId = () => `explorable-${++lastId}`;

/** A number with `digits` significant digits, without useless zeros. */
export function short(value, digits = 3) {
  if (!Number.isFinite(value)) return value > 0 ? "∞" : value < 0 ? "−∞" : "undefined";
  const size = Math.abs(value);
  const text =
    value !== 0 && (size < 1e-3 || size >= 1e6)
      ? value.toExponential(digits - 1).replace(/\.?0+e/, "e").replace("e+", "e")
      : String(Number(value.toPrecision(digits)));
  return text.replaceAll("-", "−");
}

/** How a slider's place (0 to 1) becomes a number, and back. */
const SCALES = {
  linear: {
    to: (p, a, b) => a + p * (b - a),
    from: (x, a, b) => (x - a) / (b - a),
  },
  log: {
    to: (p, a, b) => a * (b / a) ** p,
    from: (x, a, b) => Math.log(x / a) / Math.log(b / a),
  },
  // For decay rates: equal ways along the slider are equal factors of 1 - beta. From 0 to b.
  decay: {
    to: (p, _, b) => 1 - (1 - b) ** p,
    from: (x, _, b) => Math.log1p(-x) / Math.log1p(-b),
  },
};

/**
 * A slider with its name and its value. `value` is read and set through the returned object.
 *
 * @param {object} options label, min, max, value, scale ("linear", "log", "decay"), steps (places
 *   of the slider), digits, oninput
 */
export function slider({
  label, min = 0, max, value, scale = "linear", steps = 200, digits = 3, oninput,
}) {
  const { to, from } = SCALES[scale];
  const id = newId();
  let exact = value;
  const output = el("output", { for: id });
  const input = el("input", {
    id, type: "range", min: 0, max: steps, step: 1,
    oninput: () => {
      const x = to(Number(input.value) / steps, min, max);
      // Near 1 a decay rate needs its digits: places of the slider must stay apart.
      exact = Number(x.toPrecision(scale === "decay" ? 7 : digits + 1));
      show();
      oninput?.(exact);
    },
  });
  const show = () => {
    output.value = short(exact, scale === "decay" ? 5 : digits);
    input.setAttribute("aria-valuetext", output.value);
  };
  const place = () => {
    input.value = Math.round(from(exact, min, max) * steps);
    show();
  };
  place();
  return {
    node: el("div", { class: "ex-control" }, el("label", { for: id }, label), input, output),
    get value() { return exact; },
    set value(x) { exact = x; place(); },
  };
}

/** A list to choose from. `options` are [value, text] pairs. */
export function choice({ label, options, value, oninput }) {
  const id = newId();
  const select = el(
    "select",
    { id, oninput: () => oninput?.(select.value) },
    ...options.map(([key, text]) => el("option", { value: key }, text)),
  );
  select.value = value;
  return {
    node: el("div", { class: "ex-control" }, el("label", { for: id }, label), select),
    get value() { return select.value; },
    set value(x) { select.value = x; },
  };
}

/** A box to tick. */
export function tick({ label, value = false, oninput }) {
  const id = newId();
  const input = el("input", { id, type: "checkbox", oninput: () => oninput?.(input.checked) });
  input.checked = value;
  return {
    node: el("div", { class: "ex-control ex-tick" }, input, el("label", { for: id }, label)),
    get value() { return input.checked; },
    set value(x) { input.checked = x; },
  };
}

/** A button. */
export const button = (text, onclick) => el("button", { type: "button", onclick }, text);

/** Round numbers for the ticks of an axis. */
export function ticks(low, high, count = 5) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * power).find((s) => s >= rough * 0.999);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) {
    found.push(Number((k * step).toPrecision(12)));
  }
  return found;
}

/** Powers of ten between two numbers, at most about `count` of them. */
function decades(low, high, count = 6) {
  const [a, b] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
  const by = Math.max(1, Math.ceil((b - a) / count));
  return Array.from({ length: Math.floor((b - a) / by) + 1 }, (_, k) => 10 ** (a + k * by));
}

/**
 * A plot of lines that is drawn anew by `draw`. Its size is in its own units; it grows and shrinks
 * with the page. Lines take the class of their look ("look-adam"), to which looks.css gives a colour
 * and a dash.
 */
export class Plot {
  constructor({ width = 420, height = 260, x = {}, y = {}, label }) {
    Object.assign(this, { width, height, x, y });
    this.margin = { left: 52, right: 10, top: 10, bottom: 36 };
    this.node = svg("svg", {
      viewBox: `0 0 ${width} ${height}`, role: "img", class: "ex-plot", "aria-label": label,
    });
  }

  /** Set what a screen reader hears in the place of the picture. */
  set label(text) { this.node.setAttribute("aria-label", text); }

  /** Take the size at which it stands on the page for its own: text is then as large as stated. */
  fit() {
    const { width, height } = this.node.getBoundingClientRect();
    if (!width || !height) return;
    Object.assign(this, { width, height });
    this.node.setAttribute("viewBox", `0 0 ${width} ${height}`);
  }

  scale(axis, range, from, to) {
    const log = axis.scale === "log";
    const f = log ? Math.log10 : (v) => v;
    const [a, b] = [f(range[0]), f(range[1])];
    return (v) => from + ((f(v) - a) / (b - a || 1)) * (to - from);
  }

  range(axis, values) {
    if (axis.range) return axis.range;
    const usable = values.filter((v) => Number.isFinite(v) && (axis.scale !== "log" || v > 0));
    let [low, high] = [Math.min(...usable), Math.max(...usable)];
    if (!usable.length) [low, high] = axis.scale === "log" ? [0.1, 1] : [0, 1];
    if (axis.include != null) [low, high] = [Math.min(low, axis.include), Math.max(high, axis.include)];
    if (low === high) [low, high] = axis.scale === "log" ? [low / 2, high * 2] : [low - 1, high + 1];
    const room = axis.scale === "log" ? 1 : 0.04 * (high - low);
    return axis.scale === "log" ? [low / 1.2, high * 1.2] : [low - room, high + room];
  }

  /** Draw lines: [{x: [...], y: [...], look, name, dots}]. */
  draw(lines) {
    const { left, right, top, bottom } = this.margin;
    const [w, h] = [this.width, this.height];
    const xr = this.range(this.x, lines.flatMap((line) => Array.from(line.x)));
    const yr = this.range(this.y, lines.flatMap((line) => Array.from(line.y)));
    this.px = this.scale(this.x, xr, left, w - right);
    this.py = this.scale(this.y, yr, h - bottom, top);
    const marks = (axis, range) =>
      axis.ticks ?? (axis.scale === "log" ? decades(...range) : ticks(...range));
    const grid = svg("g", { class: "ex-grid" });
    const text = svg("g", { class: "ex-text" });
    for (const v of marks(this.x, xr)) {
      const x = this.px(v);
      grid.append(svg("line", { x1: x, x2: x, y1: top, y2: h - bottom }));
      text.append(svg("text", { x, y: h - bottom + 14, "text-anchor": "middle" }, short(v)));
    }
    for (const v of marks(this.y, yr)) {
      const y = this.py(v);
      grid.append(svg("line", { x1: left, x2: w - right, y1: y, y2: y }));
      text.append(svg("text", { x: left - 5, y: y + 4, "text-anchor": "end" }, short(v)));
    }
    const middle = (top + h - bottom) / 2;
    text.append(
      svg("text", { x: (left + w - right) / 2, y: h - 6, "text-anchor": "middle" }, this.x.label ?? ""),
      svg(
        "text",
        { x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` },
        this.y.label ?? "",
      ),
    );
    const [yLow, yHigh] = [top - 2, h - bottom + 2];
    const drawn = lines.map(({ x, y, look = "look-adam", dots }) => {
      let path = "";
      let pen = false;
      const round = [];
      for (let i = 0; i < x.length; i++) {
        const usable = Number.isFinite(y[i]) && (this.y.scale !== "log" || y[i] > 0);
        if (!usable) { pen = false; continue; }
        const px = this.px(x[i]);
        const py = Math.min(yHigh, Math.max(yLow, this.py(y[i])));
        path += `${pen ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`;
        pen = true;
        if (dots) round.push(svg("circle", { cx: px.toFixed(1), cy: py.toFixed(1), r: 3 }));
      }
      return svg("g", { class: `ex-line ${look}` }, svg("path", { d: path }), ...round);
    });
    this.node.replaceChildren(grid, text, ...drawn);
  }
}

/** A legend for looks: [[look, name], ...]. */
export function legend(entries) {
  return el(
    "ul",
    { class: "ex-legend" },
    ...entries.map(([look, name]) =>
      el(
        "li",
        {},
        svg(
          "svg",
          { viewBox: "0 0 44 10", width: 44, height: 10, "aria-hidden": "true", class: `ex-line ${look}` },
          svg("path", { d: "M1 5H43" }),
        ),
        name,
      ),
    ),
  );
}

/** What changes is said once it has come to rest, not at every move of a slider. */
export function announcer() {
  const node = el("p", { class: "ex-status", role: "status" });
  let waiting;
  const say = (text) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { node.textContent = text; }, 150);
  };
  return { node, say };
}

/** The settings of one explorable in the address, as ?name=key:value,key:value. */
export function readAddress(name) {
  const text = new URLSearchParams(location.search).get(name);
  if (!text) return {};
  return Object.fromEntries(
    text.split(",").map((pair) => {
      const at = pair.indexOf(":");
      return [pair.slice(0, at), pair.slice(at + 1).replaceAll("%2C", ",")];
    }),
  );
}

const unwritten = new Map();
/**
 * Put them there, without a new entry in the browser's history, once they have come to rest:
 * Safari refuses more than a hundred changes in half a minute.
 */
export function writeAddress(name, settings) {
  if (!unwritten.size) setTimeout(writeAll, 200);
  unwritten.set(name, settings);
}

function writeAll() {
  for (const [name, settings] of unwritten) writeNow(name, settings);
  unwritten.clear();
}

function writeNow(name, settings) {
  const all = new URLSearchParams(location.search);
  const text = Object.entries(settings)
    .map(([key, value]) => `${key}:${String(value).replaceAll(",", "%2C")}`)
    .join(",");
  all.set(name, text);
  // These are allowed in an address as they are, and are easier to read so.
  const plain = all.toString().replace(/%(3A|2C|3B|7E|3D)/g, decodeURIComponent);
  history.replaceState(null, "", `${location.pathname}?${plain}${location.hash}`);
}

/** Take an explorable out of the address. */
export function forgetAddress(name) {
  unwritten.delete(name);
  const all = new URLSearchParams(location.search);
  all.delete(name);
  history.replaceState(null, "", `${location.pathname}${all.size ? `?${all}` : ""}${location.hash}`);
}

/** A finite number within limits from text of the address, or the fallback. */
export function number(text, low, high, fallback) {
  const value = Number(text);
  return text != null && text !== "" && value >= low && value <= high ? value : fallback;
}

// epsilon
/** A slider over whole numbers from 1 to `max`, about twenty in each power of ten. */
export function wholeSlider({ label, max, value, oninput }) {
  const end = Math.round(20 * Math.log10(max));
  const all = Array.from({ length: end + 1 }, (_, k) => Math.min(max, Math.round(10 ** (k / 20))));
  const values = [...new Set(all)];
  const apart = (x, y) => Math.abs(Math.log(x / y));
  // The nearest place: an address may name any number.
  const placeOf = (x) =>
    values.reduce((best, y, k) => (apart(x, y) < apart(x, values[best]) ? k : best), 0);
  let exact = value;
  const inner = slider({
    label, max: values.length - 1, steps: values.length - 1, value: placeOf(value),
    oninput: (place) => {
      exact = values[Math.round(place)];
      show();
      oninput?.(exact);
    },
  });
  const show = () => {
    inner.node.querySelector("output").value = exact;
    inner.node.querySelector("input").setAttribute("aria-valuetext", exact);
  };
  show();
  return {
    node: inner.node,
    get value() { return exact; },
    set value(x) {
      exact = x;
      inner.value = placeOf(x);
      show();
    },
  };
}
