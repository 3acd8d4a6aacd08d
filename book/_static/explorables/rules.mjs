// The update rules of `adam_tutorial.reference`, for a browser. Each takes a state (null before the
// first step), a gradient (an array of numbers) and settings, and returns a new state and the update
// that is to be added to the parameters. Names are those of the Python functions; a test follows
// both over random settings.

const zeros = (g) => g.map(() => 0);

/** 1 - beta**t without cancellation: expm1(x) is exp(x) - 1. */
export const biasCorrection = (beta, t) => (beta === 0 ? 1 : -Math.expm1(t * Math.log(beta)));

/** t, m and v after one more gradient: lines 7 to 9 of Algorithm 1. */
function moments(state, g, beta1, beta2) {
  const { t, m, v } = state ?? { t: 0, m: zeros(g), v: zeros(g) };
  return {
    t: t + 1,
    m: m.map((mi, i) => beta1 * mi + (1 - beta1) * g[i]),
    v: v.map((vi, i) => beta2 * vi + (1 - beta2) * g[i] ** 2),
  };
}

export function gradientDescent(state, g, { lr = 1e-2 } = {}) {
  return [state, g.map((gi) => -lr * gi)];
}

export function momentum(state, g, { lr = 1e-2, beta = 0.9, nesterov = false } = {}) {
  const b = (state?.b ?? zeros(g)).map((bi, i) => beta * bi + g[i]);
  return [{ b }, b.map((bi, i) => -lr * (nesterov ? g[i] + beta * bi : bi))];
}

export function adagrad(state, g, { lr = 1e-2, eps = 1e-10 } = {}) {
  const s = (state?.s ?? zeros(g)).map((si, i) => si + g[i] ** 2);
  return [{ s }, s.map((si, i) => (-lr * g[i]) / (Math.sqrt(si) + eps))];
}

export function rmsprop(state, g, { lr = 1e-2, beta = 0.99, eps = 1e-8 } = {}) {
  const v = (state?.v ?? zeros(g)).map((vi, i) => beta * vi + (1 - beta) * g[i] ** 2);
  return [{ v }, v.map((vi, i) => (-lr * g[i]) / (Math.sqrt(vi) + eps))];
}

export function adam(
  state,
  g,
  { lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, correctBias = true } = {},
) {
  const { t, m, v } = moments(state, g, beta1, beta2);
  const c1 = correctBias ? biasCorrection(beta1, t) : 1;
  const c2 = correctBias ? biasCorrection(beta2, t) : 1;
  const update = m.map((mi, i) => (-lr * (mi / c1)) / (Math.sqrt(v[i] / c2) + eps));
  return [{ t, m, v }, update];
}

/** The order at the end of section 2: both corrections in one factor, eps beside the root of v. */
export function adamEfficient(
  state,
  g,
  { lr = 1e-3, beta1 = 0.9, beta2 = 0.999, epsHat = 1e-8 } = {},
) {
  const { t, m, v } = moments(state, g, beta1, beta2);
  const rate = (lr * Math.sqrt(biasCorrection(beta2, t))) / biasCorrection(beta1, t);
  return [{ t, m, v }, m.map((mi, i) => (-rate * mi) / (Math.sqrt(v[i]) + epsHat))];
}

export function amsgrad(
  state,
  g,
  { lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, correctBias = true } = {},
) {
  const { t, m, v } = moments(state, g, beta1, beta2);
  const c1 = correctBias ? biasCorrection(beta1, t) : 1;
  const c2 = correctBias ? biasCorrection(beta2, t) : 1;
  const vMax = (state?.vMax ?? zeros(g)).map((old, i) => Math.max(old, v[i]));
  const update = m.map((mi, i) => (-lr * (mi / c1)) / (Math.sqrt(vMax[i] / c2) + eps));
  return [{ t, m, v, vMax }, update];
}

/** Adam, and beside it each parameter loses the share lr * weightDecay of itself. */
export function adamw(state, g, { theta, lr = 1e-3, weightDecay = 1e-2, ...settings } = {}) {
  const [next, update] = adam(state, g, { lr, ...settings });
  return [next, update.map((ui, i) => ui - lr * weightDecay * theta[i])];
}

const nadamMomentum = (t, beta1, decay) => beta1 * (1 - 0.5 * 0.96 ** (t * decay));

export function nadam(
  state,
  g,
  { lr = 2e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, momentumDecay = 4e-3 } = {},
) {
  const { t, m, v } = moments(state, g, beta1, beta2);
  const mu = nadamMomentum(t, beta1, momentumDecay);
  const muNext = nadamMomentum(t + 1, beta1, momentumDecay);
  const muProduct = (state?.muProduct ?? 1) * mu;
  const c2 = biasCorrection(beta2, t);
  const update = m.map((mi, i) => {
    const mHat = (muNext * mi) / (1 - muProduct * muNext) + ((1 - mu) * g[i]) / (1 - muProduct);
    return (-lr * mHat) / (Math.sqrt(v[i] / c2) + eps);
  });
  return [{ t, m, v, muProduct }, update];
}

export function radam(state, g, { lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8 } = {}) {
  const { t, m, v } = moments(state, g, beta1, beta2);
  const [c1, c2] = [biasCorrection(beta1, t), biasCorrection(beta2, t)];
  const last = 2 / (1 - beta2) - 1;
  const rho = last - (2 * t * beta2 ** t) / c2;
  // PyTorch's threshold; the variance that is rectified exists above 4.
  if (rho <= 5) return [{ t, m, v }, m.map((mi) => -lr * (mi / c1))];
  const rectification = Math.sqrt(
    ((rho - 4) * (rho - 2) * last) / ((last - 4) * (last - 2) * rho),
  );
  const factor = lr * rectification * Math.sqrt(c2);
  return [{ t, m, v }, m.map((mi, i) => (-factor * (mi / c1)) / (Math.sqrt(v[i]) + eps))];
}

export function lion(
  state,
  g,
  { theta, lr = 1e-4, beta1 = 0.9, beta2 = 0.99, weightDecay = 0 } = {},
) {
  const m = state?.m ?? zeros(g);
  const update = m.map((mi, i) => {
    const direction = Math.sign(beta1 * mi + (1 - beta1) * g[i]);
    return -lr * (direction + (weightDecay ? weightDecay * theta[i] : 0));
  });
  return [{ m: m.map((mi, i) => beta2 * mi + (1 - beta2) * g[i]) }, update];
}

/** The longest step of Adam at any t, in learning rates; infinite if beta1**2 >= beta2. */
export function stepSupremum(beta1, beta2) {
  if (beta1 === 0) return 1 / Math.sqrt(1 - beta2);
  const room = beta2 - beta1 ** 2;
  return room > 0 ? (1 - beta1) * Math.sqrt(beta2 / ((1 - beta2) * room)) : Infinity;
}

/** What section 2.1 of the paper claims instead. */
export function paperStepBound(beta1, beta2) {
  const root = Math.sqrt(1 - beta2);
  return 1 - beta1 > root ? (1 - beta1) / root : 1;
}
