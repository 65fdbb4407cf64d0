// A trained generator in the reader's own page: its forward pass, codes and their prior, small pictures.
// The arithmetic needs no page: the tests run it in node against torch.
import { bytes, make } from "./common.js";

// ---------------------------------------------------------------- the generator's forward pass

const floats = (base64) => new Float32Array(bytes(base64).buffer);

/** Weights as float32, the output channel last. int8 weights carry one scale per output channel. */
export function unpackWeight({ float32, int8, scale }) {
  if (float32) return floats(float32);
  const whole = new Int8Array(bytes(int8).buffer);
  const scales = floats(scale);
  return Float32Array.from(whole, (w, i) => w * scales[i % scales.length]);
}

/** Adds v * weight[k .. k + n] to out[o .. o + n]: the inner loop of both layers below. */
function addScaled(out, o, weight, k, n, v) {
  for (let j = 0; j < n; j++) out[o + j] += v * weight[k + j];
}

function linear({ out: n, weight, bias }) {
  const w = unpackWeight(weight);
  const b = floats(bias);
  const y = new Float32Array(n);
  return (x) => {
    y.set(b);
    for (let i = 0; i < x.length; i++) {
      if (x[i] !== 0) addScaled(y, 0, w, i * n, n, x[i]); // after a ReLU about half are zero
    }
    return y;
  };
}

/** Each input pixel stamps its kernel, scaled, onto the output: a transposed convolution. */
function convTranspose({ in: channels, out: n, size, kernel, stride, padding, grown, weight, bias }) {
  const [height, width] = size;
  const [tall, wide] = grown;
  const w = unpackWeight(weight); // (in, kernel, kernel, out)
  const b = floats(bias);
  const sum = new Float32Array(tall * wide * n); // channels last, so that the inner loop is one run
  const y = new Float32Array(sum.length); // channels first, as torch has it
  return (x) => {
    sum.fill(0);
    for (let c = 0, i = 0; c < channels; c++) {
      for (let row = 0; row < height; row++) {
        for (let column = 0; column < width; column++, i++) {
          if (x[i] === 0) continue;
          for (let u = 0; u < kernel; u++) {
            const r = row * stride - padding + u;
            if (r < 0 || r >= tall) continue;
            for (let v = 0; v < kernel; v++) {
              const s = column * stride - padding + v;
              if (s < 0 || s >= wide) continue;
              addScaled(sum, (r * wide + s) * n, w, ((c * kernel + u) * kernel + v) * n, n, x[i]);
            }
          }
        }
      }
    }
    const area = tall * wide;
    for (let c = 0; c < n; c++) {
      for (let p = 0; p < area; p++) y[c * area + p] = sum[p * n + c] + b[c];
    }
    return y;
  };
}

function pointwise(fn) {
  return () => (x) => {
    for (let i = 0; i < x.length; i++) x[i] = fn(x[i]);
    return x;
  };
}

export const LAYERS = {
  linear,
  conv_transpose: convTranspose,
  reshape: () => (x) => x, // the numbers stay where they are; only Python's export reads the shape
  relu: pointwise((v) => (v > 0 ? v : 0)),
  leaky_relu: ({ slope }) => pointwise((v) => (v > 0 ? v : slope * v))(),
  tanh: pointwise(Math.tanh),
  sigmoid: pointwise((v) => 1 / (1 + Math.exp(-v))),
};

/** (z, class weights) -> picture, from what Python's `export_generator` wrote; re-used by the next call. */
export function loadGenerator({ layers, condition = [] }) {
  const steps = layers.map((layer) => LAYERS[layer.op](layer));
  const joined = (y) => (condition[0] ?? []).map((_, k) => // what stands beside z: a mixture of the classes' own
    y.reduce((sum, weight, c) => sum + weight * condition[c][k], 0));
  return (z, y = []) => steps.reduce((x, step) => step(x), Float32Array.from([...z, ...joined(y)]));
}

// ------------------------------------------------------------------------------- codes, the prior

export const dot = (a, b) => a.reduce((sum, v, i) => sum + v * b[i], 0);
export const norm = (a) => Math.sqrt(dot(a, a));
export const mix = (a, b, u, v) => a.map((x, i) => u * x + v * b[i]);

export const lerp = (a, b, t) => mix(a, b, 1 - t, t);

/** Along the arc between two codes (Shoemake 1985): direction and length both change evenly. */
export function slerp(a, b, t) {
  const [p, q] = [norm(a), norm(b)];
  const cosine = p && q ? Math.min(1, Math.max(-1, dot(a, b) / (p * q))) : 1;
  const angle = Math.acos(cosine);
  if (Math.sin(angle) < 1e-6) return lerp(a, b, t); // the same or opposite: there is no one arc
  const length = (1 - t) * p + t * q;
  const [u, v] = [Math.sin((1 - t) * angle), Math.sin(t * angle)];
  return mix(a, b, (length * u) / (p * Math.sin(angle)), (length * v) / (q * Math.sin(angle)));
}

export const between = (mode, a, b, t) => (mode === "lerp" ? lerp : slerp)(a, b, t);

function logGammaHalf(d) { // log Gamma(d / 2), by Gamma(x + 1) = x Gamma(x) from 1 or from 1/2
  let sum = d % 2 ? 0.5 * Math.log(Math.PI) : 0;
  for (let x = d % 2 ? 0.5 : 1; x < d / 2 - 0.25; x++) sum += Math.log(x);
  return sum;
}

/** P(|Z| <= r) for Z ~ N(0, I_d): the regularised lower incomplete gamma function at (d/2, r^2/2). */
export function chiCdf(r, d) {
  const [s, x] = [d / 2, (r * r) / 2];
  if (x === 0) return 0;
  const front = Math.exp(s * Math.log(x) - x - logGammaHalf(d));
  if (x < s + 1) { // the power series
    let [term, sum] = [1 / s, 1 / s];
    for (let k = 1; term > sum * 1e-15; k++) { term *= x / (s + k); sum += term; }
    return front * sum;
  }
  let [b, c, e] = [x + 1 - s, 1e300, 1 / (x + 1 - s)]; // Lentz's continued fraction of the tail
  let h = e;
  for (let k = 1; k < 500; k++) {
    const a = k * (s - k);
    b += 2;
    e = 1 / (a * e + b);
    c = b + a / c;
    h *= c * e;
    if (Math.abs(c * e - 1) < 1e-15) break;
  }
  return 1 - front * h;
}

export function chiDensity(r, d) {
  return r > 0 ? Math.exp((d - 1) * Math.log(r) - (r * r) / 2
    - (d / 2 - 1) * Math.LN2 - logGammaHalf(d)) : Number(d === 1) * Math.sqrt(2 / Math.PI);
}

/** Standard normal numbers from a seed: mulberry32, then Box and Muller. */
export function normals(seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

// ------------------------------------------------------------------------------------ pictures

export function whereInPrior(length, d) {
  const share = Math.round(100 * chiCdf(length, d));
  return share < 1 ? "shorter than 99 in 100 random codes"
    : `longer than ${Math.min(share, 99)} in 100 random codes`;
}

/** Paints one picture with values in [-1, 1] at (x, y) of a small canvas. */
export function paint(context, picture, shape, x = 0) {
  const [, height, width] = shape;
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < pixels.length; i++) {
    pixels[i] = 0xff000000 | (Math.round(127.5 * (picture[i] + 1)) * 0x010101);
  }
  context.putImageData(image, x, 0);
}

export function smallCanvas(shape, many = 1, properties = {}) {
  return make("canvas", { width: shape[2] * many, height: shape[1], ...properties });
}

/** Calls fn for every pointer position from press to release, mouse and finger alike. */
export function drag(target, fn) {
  target.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    target.setPointerCapture(event.pointerId);
    fn(event);
  });
  target.addEventListener("pointermove", (event) => {
    if (target.hasPointerCapture(event.pointerId)) fn(event);
  });
}
