// A formula in x and y that a reader types: parsed here, never run as code. Evaluated with its two
// slopes at once: every part of the formula is worth [value, slope in x, slope in y].

const FUNCTIONS = {
  sin: (a) => chain(Math.sin(a[0]), Math.cos(a[0]), a),
  cos: (a) => chain(Math.cos(a[0]), -Math.sin(a[0]), a),
  tanh: (a) => chain(Math.tanh(a[0]), 1 - Math.tanh(a[0]) ** 2, a),
  exp: (a) => chain(Math.exp(a[0]), Math.exp(a[0]), a),
  log: (a) => chain(Math.log(a[0]), 1 / a[0], a),
  sqrt: (a) => chain(Math.sqrt(a[0]), 0.5 / Math.sqrt(a[0]), a),
  abs: (a) => chain(Math.abs(a[0]), Math.sign(a[0]), a),
};
const CONSTANTS = { pi: Math.PI, e: Math.E };

/** The chain rule: a function's value and slope, and what it was applied to. */
const chain = (value, slope, a) => [value, slope * a[1], slope * a[2]];

const OPERATIONS = {
  "+": (a, b) => [a[0] + b[0], a[1] + b[1], a[2] + b[2]],
  "-": (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]],
  "*": (a, b) => [a[0] * b[0], a[1] * b[0] + a[0] * b[1], a[2] * b[0] + a[0] * b[2]],
  "/": (a, b) => {
    const q = a[0] / b[0];
    return [q, (a[1] - q * b[1]) / b[0], (a[2] - q * b[2]) / b[0]];
  },
  "^": (a, b) => {
    const p = a[0] ** b[0];
    // With a constant exponent the base may be negative, and its logarithm is not needed.
    if (b[1] === 0 && b[2] === 0) {
      const slope = b[0] === 0 ? 0 : b[0] * a[0] ** (b[0] - 1);
      return chain(p, slope, a);
    }
    const log = Math.log(a[0]);
    return [p, p * (b[1] * log + (b[0] * a[1]) / a[0]), p * (b[2] * log + (b[0] * a[2]) / a[0])];
  },
};
const PRECEDENCE = { "+": 1, "-": 1, "*": 2, "/": 2, "^": 4 };
const LONGEST = 200;

function tokens(text) {
  const found = [];
  const pattern = /\s*(?:(\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?)|([a-z]+)|(\*\*|[-+*/^()]))/giy;
  while (pattern.lastIndex < text.length) {
    const from = pattern.lastIndex;
    const match = pattern.exec(text);
    if (!match) {
      if (!text.slice(from).trim()) break;
      throw new SyntaxError(`"${text.slice(from).trim()[0]}" is not understood`);
    }
    const [, digits, word, sign] = match;
    found.push(digits ? { number: Number(digits) } : word ? { word: word.toLowerCase() } : { sign: sign === "**" ? "^" : sign });
  }
  return found;
}

/**
 * Parse a formula such as "(1 - x)^2 + 5 (y - x^2)^2".
 *
 * Returns a function of x and y that gives [value, slope in x, slope in y].
 * Throws a SyntaxError whose message can be shown to the reader.
 */
export function parse(text) {
  if (text.length > LONGEST) throw new SyntaxError(`longer than ${LONGEST} characters`);
  const list = tokens(text);
  let at = 0;
  const sign = () => list[at]?.sign;

  function atom() {
    const token = list[at++];
    if (!token) throw new SyntaxError("something is missing at the end");
    if (token.number !== undefined) {
      const value = [token.number, 0, 0];
      return () => value;
    }
    if (token.word) {
      if (token.word === "x") return (x) => [x, 1, 0];
      if (token.word === "y") return (_, y) => [y, 0, 1];
      if (Object.hasOwn(CONSTANTS, token.word)) {
        const value = [CONSTANTS[token.word], 0, 0];
        return () => value;
      }
      const f = Object.hasOwn(FUNCTIONS, token.word) ? FUNCTIONS[token.word] : null;
      if (!f) throw new SyntaxError(`"${token.word}" is not known`);
      if (sign() !== "(") throw new SyntaxError(`${token.word} needs a bracket`);
      const inner = atom();
      return (x, y) => f(inner(x, y));
    }
    if (token.sign === "(") {
      const inner = expression(0);
      if (sign() !== ")") throw new SyntaxError("a bracket is not closed");
      at++;
      return inner;
    }
    if (token.sign === "-") {
      // -x^2 is -(x^2): the sign binds less than the power.
      const inner = expression(3);
      return (x, y) => inner(x, y).map((part) => -part);
    }
    if (token.sign === "+") return expression(3);
    throw new SyntaxError(`"${token.sign}" is not expected here`);
  }

  function expression(lowest) {
    let left = atom();
    for (;;) {
      const next = list[at];
      if (!next || next.sign === ")") return left;
      // "2 x" and "2 (x + y)" are products.
      const operator = next.sign && next.sign !== "(" ? next.sign : "*";
      const binds = PRECEDENCE[operator];
      if (binds < lowest || (binds === lowest && operator !== "^" && lowest > 0)) return left;
      if (next.sign && next.sign !== "(") at++;
      // A power is read from the right: 2^3^2 is 2^9.
      const right = expression(operator === "^" ? 3 : binds + 0.5);
      const [a, f] = [left, OPERATIONS[operator]];
      left = (x, y) => f(a(x, y), right(x, y));
    }
  }

  const result = expression(0);
  if (at < list.length) throw new SyntaxError(`"${list[at].sign}" is not expected here`);
  return result;
}
