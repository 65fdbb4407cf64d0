// The arithmetic of the laboratory: small fully connected GANs in float64, free of any page.
// Page, worker and tests run these same functions, and the tests hold them to gan_utils: same weights, same
// batches, same losses. A function uses nothing but its arguments and the other functions of KERNEL, so that
// a worker can be made from their text alone.

// ------------------------------------------------------------------------------------ random numbers

/** A stream of uniform numbers in [0, 1): mulberry32. `stream` keeps streams of one seed apart. */
export function uniforms(seed, stream = 0) {
  let state = Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(stream + 1, 0x85ebca6b);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Standard normal numbers from uniform ones, two at a time: Box and Muller. */
export function normals(uniform) {
  let spare = null;
  return () => {
    if (spare !== null) {
      const value = spare;
      spare = null;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
    const angle = 2 * Math.PI * uniform();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
}

// ------------------------------------------------------------------------------------------- the data

/**
 * Every law here is a mixture of equal Gaussians N(centre, std^2 I): a few for a ring, many for a spiral or
 * for what a reader draws. `modes` says whether the centres stand apart, so that counting them means something.
 */
export function makeLaw(name, drawn = []) {
  const circle = (count) => Array.from({ length: count }, (_, k) => (2 * Math.PI * k) / count);
  const along = (count, fn) => Array.from({ length: count }, (_, k) => fn((k + 0.5) / count));
  const laws = {
    gaussian: () => ({ dim: 1, std: 1, modes: false, centres: [[0]] }),
    two: () => ({ dim: 1, std: 0.35, modes: true, centres: [[-1.5], [1.5]] }),
    ring: () => ({ dim: 2, std: 0.05, modes: true, centres: circle(8).map((a) => [Math.cos(a), Math.sin(a)]) }),
    grid: () => ({ dim: 2, std: 0.05, modes: true,
      centres: Array.from({ length: 25 }, (_, k) => [(Math.floor(k / 5) - 2) / 2, ((k % 5) - 2) / 2]) }),
    spiral: () => ({ dim: 2, std: 0.04, modes: false, centres: along(120, (t) => {
      const [radius, angle] = [0.15 + 0.95 * Math.sqrt(t), 4 * Math.PI * Math.sqrt(t)]; // even along the arc
      return [radius * Math.cos(angle), radius * Math.sin(angle)];
    }) }),
    line: () => ({ dim: 2, std: 0.05, modes: false, centres: along(60, (t) => [2 * t - 1, 1.2 * t - 0.6]) }),
    drawn: () => ({ dim: 2, std: 0.04, modes: false, centres: drawn.length ? drawn : [[0, 0]] }),
  };
  return { name, ...laws[name]() };
}

/** Fills x with n samples, row by row. */
export function sampleLaw(law, x, n, uniform, normal) {
  const { centres, dim, std } = law;
  for (let s = 0, k = 0; s < n; s++) {
    const centre = centres[Math.floor(uniform() * centres.length)];
    for (let i = 0; i < dim; i++, k++) x[k] = centre[i] + std * normal();
  }
}

// ---------------------------------------------------------------------------------------- the networks

/** How many weights a network of these sizes has. */
export function countWeights(sizes) {
  return sizes.slice(1).reduce((sum, out, l) => sum + out * (sizes[l] + 1), 0);
}

/** The sizes of G and D that these settings ask for; `dim` is that of the data. */
export function sizesOf(s, dim) {
  const hidden = (layers, width) => Array(layers).fill(width);
  return { g: [s.latent_dim, ...hidden(s.layers_g, s.width_g), dim],
    d: [s.packing * dim, ...hidden(s.layers_d, s.width_d), 1] };
}

/**
 * A fully connected network as gan_utils.mlp has it: sizes [2, 16, 16, 1], LeakyReLU of slope .2 between. All
 * its weights lie in one array, layer by layer, each layer's weight (out, in) and then its bias; `grad` likewise.
 */
export function makeNet(sizes) {
  const count = countWeights(sizes);
  const net = { sizes, theta: new Float64Array(count), grad: new Float64Array(count), layers: [] };
  let at = 0;
  const part = (length) => {
    const views = [net.theta.subarray(at, at + length), net.grad.subarray(at, at + length)];
    at += length;
    return views;
  };
  sizes.slice(1).forEach((out, l) => {
    const [weight, dWeight] = part(out * sizes[l]);
    const [bias, dBias] = part(out);
    net.layers.push({ in: sizes[l], out, weight, bias, dWeight, dBias });
  });
  return net;
}

/** PyTorch's own law: U(-1/sqrt(fan_in), 1/sqrt(fan_in)) for weights and biases. */
export function initWeights(net, uniform) {
  for (const layer of net.layers) {
    const bound = 1 / Math.sqrt(layer.in);
    for (const array of [layer.weight, layer.bias]) {
      for (let k = 0; k < array.length; k++) array[k] = bound * (2 * uniform() - 1);
    }
  }
  return net;
}

/** Weights as text, float32 in base64, and back. */
export function writeWeights(theta) {
  const bytes = new Uint8Array(Float32Array.from(theta).buffer);
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}
export function readWeights(text) {
  return new Float32Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
}

/** Room for what a pass of up to `rows` samples leaves behind: activations `h`, and `d` for the way back. */
export function makeTape(net, rows) {
  const room = () => net.sizes.map((size) => new Float64Array(rows * size));
  return { h: room(), d: room() };
}

/** y = x W^T + b, four rows at a time so that four sums run side by side. */
export function affine(x, weight, bias, y, n, wide, out) {
  let s = 0;
  for (; s + 3 < n; s += 4) {
    const [a, b, c, d] = [s * wide, (s + 1) * wide, (s + 2) * wide, (s + 3) * wide];
    for (let o = 0; o < out; o++) {
      const start = bias === null ? 0 : bias[o];
      let [p, q, r, t] = [start, start, start, start];
      for (let i = 0, k = o * wide; i < wide; i++, k++) {
        const w = weight[k];
        p += w * x[a + i];
        q += w * x[b + i];
        r += w * x[c + i];
        t += w * x[d + i];
      }
      y[s * out + o] = p;
      y[(s + 1) * out + o] = q;
      y[(s + 2) * out + o] = r;
      y[(s + 3) * out + o] = t;
    }
  }
  for (; s < n; s++) {
    for (let o = 0; o < out; o++) {
      let sum = bias === null ? 0 : bias[o];
      for (let i = 0; i < wide; i++) sum += weight[o * wide + i] * x[s * wide + i];
      y[s * out + o] = sum;
    }
  }
}

/** The first n rows of tape.h[0] through the network; the answers are in the last of tape.h. */
export function forward(net, tape, n) {
  const last = net.layers.length - 1;
  net.layers.forEach(({ weight, bias, in: wide, out }, l) => {
    const y = tape.h[l + 1];
    affine(tape.h[l], weight, bias, y, n, wide, out);
    if (l < last) for (let k = 0; k < n * out; k++) if (y[k] <= 0) y[k] *= 0.2;
  });
  return tape.h[last + 1];
}

/** grad += d^T x: what each weight did, summed over the batch. */
export function outer(d, x, grad, n, out, wide) {
  let s = 0;
  for (; s + 3 < n; s += 4) {
    const [a, b, c, e] = [s * wide, (s + 1) * wide, (s + 2) * wide, (s + 3) * wide];
    for (let o = 0, k = 0; o < out; o++) {
      const [p, q, r, t] = [d[s * out + o], d[(s + 1) * out + o], d[(s + 2) * out + o], d[(s + 3) * out + o]];
      for (let i = 0; i < wide; i++, k++) grad[k] += p * x[a + i] + q * x[b + i] + r * x[c + i] + t * x[e + i];
    }
  }
  for (; s < n; s++) {
    for (let o = 0, k = 0; o < out; o++) {
      for (let i = 0; i < wide; i++, k++) grad[k] += d[s * out + o] * x[s * wide + i];
    }
  }
}

/** y = d W, and where h tells of LeakyReLU's lower side, a fifth of it. */
export function pullBack(d, weight, h, y, n, out, wide) {
  for (let s = 0; s < n; s++) {
    const row = s * wide;
    for (let i = 0; i < wide; i++) y[row + i] = 0;
    for (let o = 0, k = 0; o < out; o++) {
      const v = d[s * out + o];
      for (let i = 0; i < wide; i++, k++) y[row + i] += v * weight[k];
    }
    if (h !== null) for (let i = 0; i < wide; i++) if (h[row + i] <= 0) y[row + i] *= 0.2;
  }
}

/**
 * The way back of n rows: the last of tape.d holds d loss / d output. Adds to the gradients of the weights
 * unless `weights` is false, and leaves the gradient of the input in tape.d[0].
 */
export function backward(net, tape, n, { weights = true, input = true } = {}) {
  for (let l = net.layers.length - 1; l >= 0; l--) {
    const { weight, dWeight, dBias, in: wide, out } = net.layers[l];
    const d = tape.d[l + 1];
    if (weights) {
      outer(d, tape.h[l], dWeight, n, out, wide);
      for (let k = 0, o = 0; k < n * out; k++, o = o + 1 === out ? 0 : o + 1) dBias[o] += d[k];
    }
    if (l > 0 || input) pullBack(d, weight, l > 0 ? tape.h[l] : null, tape.d[l], n, out, wide);
  }
}

// ------------------------------------------------------------------------------ the slope of D, punished

/** The gradient of D's output with respect to each of the n inputs in tape.h[0]; left in tape.d[0]. */
export function inputGradient(net, tape, n) {
  forward(net, tape, n);
  tape.d[net.layers.length].fill(1, 0, n);
  backward(net, tape, n, { weights: false });
  return tape.d[0];
}

/**
 * The second derivative, written out. With LeakyReLU the slope of D at x is a product of matrices,
 * g = W1^T M1 W2^T M2 ... wL, where the masks M (1 or .2 on the diagonal) do not change when weights move a
 * little. So a penalty P(g) reaches W_l in two parts: what lies to the right of it in the product, which
 * inputGradient left in tape.d[l], and what lies to the left, which is u = dP/dg sent *forwards* through the
 * same masked matrices. Biases move only the masks: their gradient is 0. `u` is (n, inputs).
 */
export function backwardThroughSlope(net, tape, spare, u, n) {
  const last = net.layers.length - 1;
  let v = u;
  net.layers.forEach(({ weight, dWeight, in: wide, out }, l) => {
    outer(tape.d[l + 1], v, dWeight, n, out, wide);
    if (l === last) return;
    const next = spare.d[l + 1];
    affine(v, weight, null, next, n, wide, out);
    for (let k = 0; k < n * out; k++) if (tape.h[l + 1][k] <= 0) next[k] *= 0.2;
    v = next;
  });
}

/** E[|grad D(x)|^2] on the n real rows in tape.h[0]; `weight` times its gradient is added to D's. */
export function r1Penalty(D, tape, spare, n, weight) {
  const g = inputGradient(D, tape, n);
  const wide = D.sizes[0];
  let sum = 0;
  const u = spare.d[0];
  for (let k = 0; k < n * wide; k++) {
    sum += g[k] * g[k];
    u[k] = (weight * 2 * g[k]) / n;
  }
  backwardThroughSlope(D, tape, spare, u, n);
  return sum / n;
}

/** E[(|grad D| - 1)^2] at the n points in tape.h[0], of slopes above 1 alone if `oneSided`; `weight` times its
 * gradient is added to D's. */
export function gradientPenalty(D, tape, spare, n, weight, oneSided = false) {
  const g = inputGradient(D, tape, n);
  const wide = D.sizes[0];
  let sum = 0;
  const u = spare.d[0];
  for (let s = 0; s < n; s++) {
    let square = 0;
    for (let k = s * wide; k < (s + 1) * wide; k++) square += g[k] * g[k];
    const slope = Math.sqrt(square);
    const excess = oneSided ? Math.max(0, slope - 1) : slope - 1;
    sum += excess ** 2;
    const pull = slope > 0 ? (weight * 2 * excess) / (n * slope) : 0;
    for (let k = s * wide; k < (s + 1) * wide; k++) u[k] = pull * g[k];
  }
  backwardThroughSlope(D, tape, spare, u, n);
  return sum / n;
}

// ------------------------------------------------------------------------------------------- the losses

/**
 * Each family: what a real logit costs D, what a fake one costs D, what a fake one costs G; each as the cost
 * and its slope. The names and the signs are those of gan_utils.losses. `chance` are the losses of D and G
 * where D cannot tell; null where any value may be one.
 */
export function makeLosses() {
  const softplus = (l) => Math.max(l, 0) + Math.log1p(Math.exp(-Math.abs(l))); // finite for every finite logit
  const sigmoid = (l) => (l >= 0 ? 1 / (1 + Math.exp(-l)) : Math.exp(l) / (1 + Math.exp(l)));
  const logistic = { real: [(l) => softplus(-l), (l) => -sigmoid(-l)], fake: [softplus, sigmoid] };
  const score = [(l) => -l, () => -1];
  return {
    non_saturating: { ...logistic, g: [(l) => softplus(-l), (l) => -sigmoid(-l)],
      chance: [2 * Math.LN2, Math.LN2] },
    minimax: { ...logistic, g: [(l) => -softplus(l), (l) => -sigmoid(l)], chance: [2 * Math.LN2, -Math.LN2] },
    least_squares: { real: [(l) => (l - 1) ** 2 / 2, (l) => l - 1], fake: [(l) => l ** 2 / 2, (l) => l],
      g: [(l) => (l - 1) ** 2 / 2, (l) => l - 1], chance: [1 / 4, 1 / 8] },
    hinge: { real: [(l) => Math.max(0, 1 - l), (l) => (l < 1 ? -1 : 0)],
      fake: [(l) => Math.max(0, 1 + l), (l) => (l > -1 ? 1 : 0)], g: score, chance: [2, null] },
    wasserstein: { real: score, fake: [(l) => l, () => 1], g: score, chance: [0, null] },
  };
}

/** The mean cost of logits[from .. from + n]; their slopes, over n, go to `slopes`. */
export function meanCost([cost, slope], logits, slopes, from, n) {
  let sum = 0;
  for (let k = from; k < from + n; k++) {
    sum += cost(logits[k]);
    slopes[k] = slope(logits[k]) / n;
  }
  return sum / n;
}

// ------------------------------------------------------------------------------------------ the descent

/** torch.optim.Adam or torch.optim.SGD on net.theta, with their own order of operations. */
export function makeOptimiser(net, { kind, lr, beta1, beta2 = 0.999, eps = 1e-8 }) {
  const { theta, grad } = net;
  if (kind === "sgd") return () => { for (let k = 0; k < theta.length; k++) theta[k] -= lr * grad[k]; };
  const [m, v] = [new Float64Array(theta.length), new Float64Array(theta.length)];
  let [power1, power2] = [1, 1];
  return () => {
    power1 *= beta1;
    power2 *= beta2;
    const [size, root] = [lr / (1 - power1), Math.sqrt(1 - power2)];
    for (let k = 0; k < theta.length; k++) {
      const g = grad[k];
      m[k] += (1 - beta1) * (g - m[k]);
      v[k] = beta2 * v[k] + (1 - beta2) * g * g;
      theta[k] -= (size * m[k]) / (Math.sqrt(v[k]) / root + eps);
    }
  };
}

// ---------------------------------------------------------------------------------------------- the GAN

/**
 * G, D and their optimisers, ready to train. `settings` are those of defaultSettings. `dStep` and `gStep` draw
 * their batches, or take them (the tests give the batches that gan_utils got).
 */
export function makeGan(settings, drawn) {
  const { packing, batch_size: batch, latent_dim: latent } = settings;
  const law = makeLaw(settings.data, drawn);
  const { dim } = law;
  const first = uniforms(settings.seed, 0);
  const sizes = sizesOf(settings, dim);
  const G = initWeights(makeNet(sizes.g), first);
  const D = initWeights(makeNet(sizes.d), first);
  const { beta1 } = settings;
  const stepG = makeOptimiser(G, { kind: settings.optimiser_g, lr: settings.lr_g, beta1 });
  const stepD = makeOptimiser(D, { kind: settings.optimiser_d, lr: settings.lr_d, beta1 });
  const loss = makeLosses()[settings.loss];
  const packs = batch / packing; // D sees `packing` samples at a time, side by side
  const tapeG = makeTape(G, batch);
  const tapeD = makeTape(D, 2 * packs);
  const [tapeP, spare] = [makeTape(D, packs), makeTape(D, packs)];
  const uniform = uniforms(settings.seed, 1);
  const normal = normals(uniform);
  const size = packs * packing * dim; // numbers in a batch of samples

  const noise = (z, n, from = uniform, bell = normal) => {
    const draw = settings.noise === "uniform" ? () => 2 * from() - 1 : bell;
    for (let k = 0; k < n * latent; k++) z[k] = draw();
    return z;
  };
  const batchOf = { // drawn afresh for every step
    x: () => { const x = new Float64Array(size); sampleLaw(law, x, batch, uniform, normal); return x; },
    z: () => noise(new Float64Array(batch * latent), batch),
    mix: () => Float64Array.from({ length: packs }, uniform),
  };

  /** One step down D's loss; G stays as it is. Returns D's loss without the penalty, and the bare penalty. */
  function dStep(x = batchOf.x(), z = batchOf.z(), mix = settings.penalty === "gp" ? batchOf.mix() : null) {
    tapeG.h[0].set(z);
    const fake = forward(G, tapeG, batch);
    tapeD.h[0].set(x);
    tapeD.h[0].set(fake, size);
    const logits = forward(D, tapeD, 2 * packs);
    const slopes = tapeD.d[D.layers.length];
    const value = meanCost(loss.real, logits, slopes, 0, packs) + meanCost(loss.fake, logits, slopes, packs, packs);
    D.grad.fill(0);
    backward(D, tapeD, 2 * packs, { input: false });
    let penalty = 0;
    if (settings.penalty === "r1") {
      tapeP.h[0].set(x);
      penalty = r1Penalty(D, tapeP, spare, packs, settings.r1_gamma / 2);
    } else if (settings.penalty === "gp") {
      const wide = D.sizes[0];
      for (let k = 0; k < size; k++) {
        const share = mix[Math.floor(k / wide)]; // one place on its line for each pair
        tapeP.h[0][k] = share * x[k] + (1 - share) * fake[k];
      }
      penalty = gradientPenalty(D, tapeP, spare, packs, settings.gp_lambda);
    }
    stepD();
    if (settings.penalty === "clip") {
      const c = settings.clip;
      for (let k = 0; k < D.theta.length; k++) D.theta[k] = Math.min(c, Math.max(-c, D.theta[k]));
    }
    return { d_loss: value, penalty };
  }

  /** The fakes of z, what they cost G, and the gradient of that cost at each of them, in tapeD.d[0]. */
  function costOfFakes(z) {
    tapeG.h[0].set(z);
    tapeD.h[0].set(forward(G, tapeG, batch));
    const logits = forward(D, tapeD, packs);
    const value = meanCost(loss.g, logits, tapeD.d[D.layers.length], 0, packs);
    backward(D, tapeD, packs, { weights: false });
    return value;
  }

  /** One step down G's loss; D stays as it is. */
  function gStep(z = batchOf.z()) {
    const value = costOfFakes(z);
    tapeG.d[G.layers.length].set(tapeD.d[0].subarray(0, size));
    G.grad.fill(0);
    backward(G, tapeG, batch, { input: false });
    stepG();
    return { g_loss: value };
  }

  /** The mean of the first coordinate of the newest batch of fakes. */
  function middle() {
    const fakes = tapeG.h[G.layers.length];
    let sum = 0;
    for (let s = 0; s < batch; s++) sum += fakes[s * dim];
    return sum / batch;
  }

  /** Fakes of n codes: (n, dim). */
  function generate(z, n) {
    const tape = makeTape(G, n);
    tape.h[0].set(z);
    return forward(G, tape, n);
  }

  /** D's raw answers to n packs. */
  function judge(x, n) {
    const tape = makeTape(D, n);
    tape.h[0].set(x);
    return forward(D, tape, n);
  }

  /**
   * One batch of fakes with the pull of G's loss on each, -batch times the gradient of the mean: the way that D
   * tells this fake to go. A pack's cost is shared by its members, so a fake of a pack gets that of the pack.
   */
  function pulls(z) {
    costOfFakes(z);
    const pull = Float64Array.from(tapeD.d[0].subarray(0, size), (g) => -g * packs);
    return { fakes: tapeG.h[G.layers.length].slice(), pull };
  }

  return { settings, law, G, D, dStep, gStep, middle, generate, judge, noise, pulls, chance: loss.chance };
}

// ------------------------------------------------------------------------------------------- the metrics

/** Wasserstein-1 distance of two sorted samples of one length: mean |x_(i) - y_(i)|, exact. */
export function sortedDistance(x, y) {
  let sum = 0;
  for (let k = 0; k < x.length; k++) sum += Math.abs(x[k] - y[k]);
  return sum / x.length;
}

/** Samples (n, dim) seen along `count` even directions of the half-circle, each sorted; on the line, one. */
export function projections(x, n, dim, count = 16) {
  const angles = dim === 1 ? [0] : Array.from({ length: count }, (_, k) => (Math.PI * k) / count);
  return angles.map((a) => {
    const [c, s] = [Math.cos(a), Math.sin(a)];
    const along = new Float64Array(n);
    for (let k = 0; k < n; k++) along[k] = dim === 1 ? x[k] : c * x[2 * k] + s * x[2 * k + 1];
    return along.sort();
  });
}

/** Wasserstein-1: on the line exact, in the plane sliced, that is the mean over the directions. */
export function wasserstein(one, other) {
  return one.reduce((sum, x, k) => sum + sortedDistance(x, other[k]), 0) / one.length;
}

/**
 * How many of n samples (n, dim) lie in each of `cells` even cells a side over [-reach, reach]; what lies outside
 * counts in the cell at the edge.
 */
export function countCells(sample, n, dim, reach, cells) {
  const counts = new Float64Array(cells ** dim);
  for (let s = 0; s < n; s++) {
    let cell = 0;
    for (let i = 0; i < dim; i++) {
      const place = Math.floor(((sample[s * dim + i] + reach) / (2 * reach)) * cells);
      cell = cell * cells + Math.min(cells - 1, Math.max(0, place));
    }
    counts[cell] += 1;
  }
  return counts;
}

/** Counts as shares of their sum, with `extra` of a count added to every cell. */
export function sharesOf(counts, extra = 0) {
  const sum = counts.reduce((a, b) => a + b, 0) + extra * counts.length;
  return counts.map((count) => (count + extra) / sum);
}

/** KL(p || q) in nats; infinite where p has something that q lacks. */
export function kullbackLeibler(p, q) {
  return p.reduce((sum, share, k) => sum + (share > 0 ? share * Math.log(share / q[k]) : 0), 0);
}

/**
 * Of two samples counted in cells, in nats: Jensen-Shannon as counted, and both Kullback-Leibler divergences with
 * half a count more in every cell. Without that half they would be infinite as soon as one cell is empty in one
 * sample alone. `kl` is KL(x || y), large where y misses what x has; `reverse_kl` is KL(y || x).
 */
export function cellDivergences(x, y) {
  const [p, q] = [sharesOf(x), sharesOf(y)];
  const middle = p.map((share, k) => (share + q[k]) / 2);
  const [fullP, fullQ] = [sharesOf(x, 0.5), sharesOf(y, 0.5)];
  return { jsd: (kullbackLeibler(p, middle) + kullbackLeibler(q, middle)) / 2,
    kl: kullbackLeibler(fullP, fullQ), reverse_kl: kullbackLeibler(fullQ, fullP) };
}

/**
 * The share of samples within 3 std of a centre, and how many centres are kept. A centre is kept when at least
 * a tenth of its fair share lies within 3 std of it: one hit alone is no mode.
 */
export function qualityAndModes(x, n, law) {
  const { centres, dim, std } = law;
  const hits = new Float64Array(centres.length);
  let good = 0;
  for (let s = 0; s < n; s++) {
    let [best, near] = [-1, 9 * std * std];
    for (let c = 0; c < centres.length; c++) {
      let square = 0;
      for (let i = 0; i < dim; i++) square += (x[s * dim + i] - centres[c][i]) ** 2;
      if (square <= near) [best, near] = [c, square];
    }
    if (best >= 0) {
      good += 1;
      hits[best] += 1;
    }
  }
  const fair = n / centres.length;
  return { quality: good / n, modes: hits.reduce((sum, h) => sum + (h >= fair / 10 ? 1 : 0), 0), hits };
}

/**
 * A function that measures a GAN, always with the same codes and the same real samples, from streams of their
 * own: measuring changes nothing in the run. `floor` is what a second real sample scores.
 */
export function makeMeter(gan, n = 2000) {
  const { law, settings } = gan;
  const { dim } = law;
  const [reach, cells] = dim === 1 ? [4, 40] : [1.6, 16];
  const uniform = uniforms(settings.seed, 2);
  const normal = normals(uniform);
  const sample = () => {
    const x = new Float64Array(n * dim);
    sampleLaw(law, x, n, uniform, normal);
    return x;
  };
  const [real, second] = [sample(), sample()];
  const seen = projections(real, n, dim);
  const cellsOf = (x) => countCells(x, n, dim, reach, cells);
  const counted = cellsOf(real);
  const z = gan.noise(new Float64Array(n * settings.latent_dim), n, uniform, normal);
  const few = z.subarray(0, settings.batch_size * settings.latent_dim);
  const score = (x) => ({
    w1: wasserstein(projections(x, n, dim), seen),
    ...cellDivergences(counted, cellsOf(x)),
    ...qualityAndModes(x, n, law),
  });
  const measure = () => {
    const x = gan.generate(z, n);
    const mean = Array.from({ length: dim }, (_, i) => {
      let sum = 0;
      for (let s = 0; s < n; s++) sum += x[s * dim + i];
      return sum / n;
    });
    const { pull } = gan.pulls(few);
    let length = 0;
    for (let s = 0; s < settings.batch_size; s++) {
      length += Math.hypot(...pull.subarray(s * dim, (s + 1) * dim)) / settings.batch_size;
    }
    return { ...score(x), mean, pull: length };
  };
  return { measure, floor: score(second), z, few };
}

// ----------------------------------------------------------------------------------------------- a run

/**
 * A GAN that counts its steps: one step is `g_steps` updates of G with `d_steps` of D before them. `swings`
 * counts how often, in the newest thousand steps, the mean of the fakes went from beyond .75 on one side of the
 * data's to beyond .75 on the other; the laws on the line have mean 0. With networks that were `kept`, { step, g, d },
 * it goes on from them; batches are drawn from the seed's beginning, and optimisers start without a memory.
 */
export function makeRun(settings, drawn, kept = null) {
  const gan = makeGan(settings, drawn);
  const meter = makeMeter(gan);
  if (kept) {
    gan.G.theta.set(readWeights(kept.g));
    gan.D.theta.set(readWeights(kept.d));
  }
  const run = { gan, meter, steps: kept?.step ?? 0, d_updates: 0, g_updates: 0, losses: { d_loss: null, g_loss: null } };
  let [side, turns] = [0, []];
  run.swings = () => turns.filter((step) => step > run.steps - 1000).length;
  run.d = () => {
    Object.assign(run.losses, gan.dStep());
    run.d_updates += 1;
  };
  run.g = () => {
    Object.assign(run.losses, gan.gStep());
    run.g_updates += 1;
    const mean = gan.middle();
    if (Math.abs(mean) > 0.75 && Math.sign(mean) !== side) {
      if (side !== 0) turns.push(run.steps);
      side = Math.sign(mean);
    }
  };
  run.step = () => {
    for (let k = 0; k < settings.d_steps; k++) run.d();
    for (let k = 0; k < settings.g_steps; k++) run.g();
    run.steps += 1;
  };
  run.measure = () => ({ step: run.steps, swings: run.swings(), ...meter.measure() });
  run.keep = () => ({ step: run.steps, g: writeWeights(gan.G.theta), d: writeWeights(gan.D.theta) });
  return run;
}

/** Whether a measurement is within what was promised: [{ metric, least, most }]. */
export function isKept(promise, measured) {
  return promise.every(({ metric, least = -Infinity, most = Infinity }) =>
    measured[metric] >= least && measured[metric] <= most);
}

/** All that a worker needs to hear of the above. */
export const KERNEL = [uniforms, normals, makeLaw, sampleLaw, countWeights, sizesOf, makeNet, initWeights, writeWeights,
  readWeights, makeTape, affine, forward, outer, pullBack, backward, inputGradient, backwardThroughSlope, r1Penalty,
  gradientPenalty, makeLosses, meanCost, makeOptimiser, makeGan, sortedDistance, projections, wasserstein, countCells,
  sharesOf, kullbackLeibler, cellDivergences, qualityAndModes, makeMeter, makeRun];
