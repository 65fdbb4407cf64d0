// The latent explorer: a trained generator that runs in the reader's own page.
// First the arithmetic, free of any page (the tests run it in node against torch), then the page.
import {
  bytes, draw, frame, make, perFrame, prefersCalm, settled, throttled,
} from "./common.js";

// ---------------------------------------------------------------- the generator's forward pass

const floats = (base64) => new Float32Array(bytes(base64).buffer);

/** Weights as float32, the output channel last. int8 weights carry one scale per output channel. */
function unpackWeight({ float32, int8, scale }) {
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

const LAYERS = {
  linear,
  conv_transpose: convTranspose,
  reshape: () => (x) => x, // the numbers stay where they are; only Python's export reads the shape
  relu: pointwise((v) => (v > 0 ? v : 0)),
  leaky_relu: ({ slope }) => pointwise((v) => (v > 0 ? v : slope * v))(),
  tanh: pointwise(Math.tanh),
  sigmoid: pointwise((v) => 1 / (1 + Math.exp(-v))),
};

/** z -> picture, from what Python's `export_generator` wrote. The result is re-used by the next call. */
export function loadGenerator({ layers }) {
  const steps = layers.map((layer) => LAYERS[layer.op](layer));
  return (z) => steps.reduce((x, step) => step(x), Float32Array.from(z));
}

// ------------------------------------------------------------------------------- codes, the prior

export const dot = (a, b) => a.reduce((sum, v, i) => sum + v * b[i], 0);
export const norm = (a) => Math.sqrt(dot(a, a));
const mix = (a, b, u, v) => a.map((x, i) => u * x + v * b[i]);

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

// ------------------------------------------------------------------------------------ the page

const REACH = 3; // sliders run over three standard deviations either way
const PATH_STOPS = 9;
const GLIDE_MS = 450;

const CSS = `
.gan-explorer .stage { display: flex; flex-wrap: wrap; gap: 1.25rem 1.75rem; }
.gan-explorer .left { flex: 1 1 15rem; max-width: 19rem; margin: 0 auto;
  display: flex; flex-direction: column; gap: .7rem; }
.gan-explorer .right { flex: 2 1 18rem; min-width: 0; display: flex; flex-direction: column; gap: .4rem; }
.gan-explorer .pad { position: relative; border-radius: .6rem; overflow: hidden; background: #000; }
.gan-explorer .pad canvas { display: block; width: 100%; cursor: crosshair; border-radius: .6rem;
  touch-action: pinch-zoom; }
.gan-explorer .pad canvas:focus-visible { outline-offset: -4px; outline-color: #56b4e9; }
.gan-explorer .pad i { position: absolute; width: 16px; height: 16px; margin: -8px 0 0 -8px;
  border: 2px solid #fff; border-radius: 50%; background: rgb(0 114 178 / .65);
  box-shadow: 0 0 0 1.5px rgb(0 0 0 / .6); pointer-events: none; }
.gan-explorer .direction { display: grid; grid-template-columns: 2.4rem 1fr 2.4rem; gap: 0 .6rem;
  align-items: center; }
.gan-explorer .direction canvas { width: 2.4rem; height: 2.4rem; border-radius: .3rem; cursor: pointer;
  background: #000; }
.gan-explorer .direction label { display: block; min-width: 0; }
.gan-explorer .direction .name { display: flex; justify-content: space-between; font-size: .87em;
  line-height: 1.2; }
.gan-explorer .gauge svg { display: block; width: 100%; height: auto; }
.gan-explorer .path { border-top: 1px solid var(--line); margin-top: .5rem; padding-top: .6rem; }
.gan-explorer .path .row { margin-top: .5rem; }
.gan-explorer .path select { flex: 1 1 12rem; }
.gan-explorer .walk { display: flex; gap: .5rem; align-items: center; }
.gan-explorer .strip { display: block; width: 100%; margin: .4rem 0 .3rem; border-radius: .3rem;
  background: #000; cursor: pointer; touch-action: pan-y; }
.gan-explorer .tag { display: inline-block; flex: none; min-width: 1.4em; border-radius: .3rem;
  font-weight: 700; text-align: center; color: var(--paper); background: var(--a); }
.gan-explorer .tag.b { background: var(--b); }
`;

const signed = (v) => `${v < -0.004 ? "\u2212" : "+"}${Math.abs(v).toFixed(2)}`;

function whereInPrior(length, d) {
  const share = Math.round(100 * chiCdf(length, d));
  return share < 1 ? "shorter than 99 in 100 random codes"
    : `longer than ${Math.min(share, 99)} in 100 random codes`;
}

/** Paints one picture with values in [-1, 1] at (x, y) of a small canvas. */
function paint(context, picture, shape, x = 0) {
  const [, height, width] = shape;
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < pixels.length; i++) {
    pixels[i] = 0xff000000 | (Math.round(127.5 * (picture[i] + 1)) * 0x010101);
  }
  context.putImageData(image, x, 0);
}

function smallCanvas(shape, many = 1, properties = {}) {
  return make("canvas", { width: shape[2] * many, height: shape[1], ...properties });
}

/** The density of |z| under the prior, the codes of the path as dots, and where z lies. */
function makeGauge(d) {
  const [width, height, floor] = [300, 76, 56];
  const far = Math.sqrt(d) + 4;
  const peak = Math.max(...Array.from({ length: 201 }, (_, i) => chiDensity((i * far) / 200, d)));
  const px = (r) => 6 + (Math.min(r, far) / far) * (width - 12);
  const points = Array.from({ length: 201 }, (_, i) => (i * far) / 200)
    .map((r) => `${px(r).toFixed(1)},${(floor - 44 * chiDensity(r, d) / peak).toFixed(1)}`);
  const dots = draw("g", { fill: "var(--b)" });
  const needle = draw("line", { y1: 4, y2: floor + 6, stroke: "var(--a)", "stroke-width": 3 });
  const ticks = [0, Math.round(Math.sqrt(d)), Math.round(far)].map((r) => {
    const text = draw("text", { x: px(r), y: height - 4, "font-size": 11, fill: "var(--soft)",
      "text-anchor": r === 0 ? "start" : r >= Math.floor(far) ? "end" : "middle" });
    text.textContent = r;
    return text;
  });
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": true },
    draw("polyline", { points: points.join(" "), fill: "var(--wash)", stroke: "var(--soft)",
      "stroke-width": 1.5 }),
    draw("line", { x1: 0, x2: width, y1: floor, y2: floor, stroke: "var(--line)" }),
    dots, needle, ...ticks);
  return {
    svg,
    move(r) { needle.setAttribute("transform", `translate(${px(r)} 0)`); },
    path(lengths) {
      dots.replaceChildren(...lengths.map((r) => draw("circle", { cx: px(r), cy: floor, r: 3 })));
    },
  };
}

function render({ model, el }) {
  const { network, directions, start, title, names, seed } = model.get("data");
  const [shape, d] = [network.shape, network.latent_dim];
  const generate = loadGenerator(network);
  const random = normals(seed);
  const root = frame(el, "gan-explorer", title, CSS);
  const save = throttled(() => model.save_changes(), 80); // the kernel need not see every frame
  const z = () => model.get("z");
  const along = (k) => dot(z(), directions[k]); // each coordinate is N(0, 1) under the prior
  const moved = (changes) => changes.reduce(
    (code, [k, value]) => mix(code, directions[k], 1, value - dot(code, directions[k])), z());

  let gliding = 0; // counts changes, so that a new one ends a glide under way
  function change(values) {
    gliding += 1;
    for (const [key, value] of Object.entries(values)) model.set(key, value);
    save();
  }
  function glide(goal) {
    if (prefersCalm()) return change({ z: goal });
    const [from, begun, mine] = [z(), performance.now(), gliding += 1];
    const step = (now) => {
      if (gliding !== mine) return;
      const t = Math.min(1, Math.max(0, now - begun) / GLIDE_MS);
      model.set("z", t === 1 ? goal : slerp(from, goal, t * t * (3 - 2 * t)));
      save();
      if (t < 1) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  // The picture: a pad for two directions, drawn small and enlarged smoothly.
  const small = smallCanvas(shape);
  const pen = small.getContext("2d");
  const screen = make("canvas", { width: shape[2] * 14, height: shape[1] * 14, tabIndex: 0,
    role: "slider", "aria-roledescription": "two-way slider", "aria-label":
    `Generated picture: arrow keys move along ${names[0]} (left, right) and ${names[1]} (up, down)`,
    "aria-valuemin": -REACH, "aria-valuemax": REACH });
  const big = screen.getContext("2d");
  big.imageSmoothingQuality = "high";
  const spot = make("i", { "aria-hidden": true });
  const clamp = (v) => Math.min(REACH, Math.max(-REACH, v));
  const onPad = (event) => {
    const box = screen.getBoundingClientRect();
    const unit = (v) => clamp((2 * v - 1) * REACH);
    change({ z: moved([[0, unit((event.clientX - box.left) / box.width)],
      [1, -unit((event.clientY - box.top) / box.height)]]) });
  };
  drag(screen, onPad);
  screen.addEventListener("keydown", (event) => {
    const push = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowUp: [1, 1], ArrowDown: [1, -1] }[event.key];
    if (!push || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const [k, sign] = push;
    change({ z: moved([[k, clamp(along(k) + sign * (event.shiftKey ? 0.5 : 0.1))]]) });
  });

  // One slider for each direction, between pictures of its two ends.
  const sliders = directions.map((_, k) => {
    const value = make("output", {});
    const input = make("input", { type: "range", min: -REACH, max: REACH, step: 0.01,
      "aria-label": names[k] });
    input.addEventListener("input", () => change({ z: moved([[k, Number(input.value)]]) }));
    const ends = [-REACH, REACH].map((reach) => {
      const canvas = smallCanvas(shape, 1, { "aria-hidden": true });
      canvas.addEventListener("click", () => glide(moved([[k, reach]])));
      return { reach, canvas, pen: canvas.getContext("2d") };
    });
    const name = make("span", { className: "name" }, make("span", {}, names[k]), value);
    return { k, input, value, ends, row: make("div", { className: "direction" },
      ends[0].canvas, make("div", {}, name, input), ends[1].canvas) };
  });
  const endPictures = sliders.flatMap(({ k, ends }) => ends.map((end) => ({ k, ...end })));

  // Two pinned codes and the path between them.
  const strip = smallCanvas(shape, PATH_STOPS, { className: "strip", "aria-hidden": true });
  const stripPen = strip.getContext("2d");
  const walk = make("input", { type: "range", min: 0, max: 1, step: 0.005,
    "aria-label": "Position on the path from A to B" });
  const mode = make("select", { "aria-label": "How to go from A to B" },
    make("option", { value: "slerp" }, "along the sphere (slerp)"),
    make("option", { value: "lerp" }, "straight through (lerp)"));
  const at = (t, how = model.get("mode")) => between(how, model.get("pin_a"), model.get("pin_b"), t);
  const go = (t) => change({ t, z: at(t) });
  walk.addEventListener("input", () => go(Number(walk.value)));
  drag(strip, (event) => {
    const box = strip.getBoundingClientRect(); // the first and last picture's middles are A and B
    const t = (((event.clientX - box.left) / box.width) * PATH_STOPS - 0.5) / (PATH_STOPS - 1);
    go(Math.min(1, Math.max(0, t)));
  });
  mode.addEventListener("change", () => change({ mode: mode.value, z: at(model.get("t"), mode.value) }));
  const tag = (letter) => make("span", { className: `tag ${letter}` }, letter.toUpperCase());
  const pin = (letter, key, t) => make("button", { type: "button",
    onclick: () => change({ [key]: z(), t }) }, "Pin ", tag(letter), " here");

  const gauge = makeGauge(d);
  const length = make("p", { className: "soft num" });
  const news = make("p", { className: "unseen", "aria-live": "polite" });
  const button = (text, onclick) => make("button", { type: "button", onclick }, text);
  root.append(make("p", { className: "title" }, title), make("div", { className: "stage" },
    make("div", { className: "left" },
      make("div", { className: "pad" }, screen, spot),
      make("div", { className: "row" },
        button("New random code", () => glide(Array.from({ length: d }, random))),
        button("Reset", () => {
          change({ pin_a: start.pin_a, pin_b: start.pin_b, mode: start.mode, t: start.t });
          glide(start.z);
        })),
      make("p", { className: "soft" }, `Drag on the picture, or use the arrow keys: across for ${
        names[0]}, up and down for ${names[1]}.`),
      make("div", { className: "gauge" }, gauge.svg, length)),
    make("div", { className: "right" },
      ...sliders.map((slider) => slider.row),
      make("div", { className: "path" },
        make("p", { className: "soft" }, "A path between two codes: pin them, then walk."),
        strip, make("div", { className: "walk" }, tag("a"), walk, tag("b")),
        make("div", { className: "row" }, pin("a", "pin_a", 0), pin("b", "pin_b", 1), mode)))), news);

  // Drawing. The picture comes first; end pictures follow, as many a frame as 3 ms allow.
  let stale = [];
  const catchUp = perFrame(() => {
    const until = performance.now() + 3;
    while (stale.length && performance.now() < until) {
      const { k, reach, pen: endPen } = stale.shift();
      paint(endPen, generate(moved([[k, reach]])), shape);
    }
    if (stale.length) catchUp();
  });
  const say = settled(() => {
    news.textContent = `Picture changed. ${sliders.slice(0, 2).map(({ k }) =>
      `${names[k]} ${signed(along(k))}`).join(", ")}. Code of length ${norm(z()).toFixed(1)}, ${
      whereInPrior(norm(z()), d)}.`;
  }, 600);
  const show = perFrame(() => {
    paint(pen, generate(z()), shape);
    big.drawImage(small, 0, 0, screen.width, screen.height);
    for (const { k, input, value } of sliders) {
      value.textContent = signed(along(k));
      input.value = along(k);
      input.setAttribute("aria-valuetext", `${signed(along(k))} standard deviations`);
    }
    spot.style.left = `${50 + (50 * clamp(along(0))) / REACH}%`;
    spot.style.top = `${50 - (50 * clamp(along(1))) / REACH}%`;
    screen.setAttribute("aria-valuenow", clamp(along(0)).toFixed(2));
    screen.setAttribute("aria-valuetext",
      `${names[0]} ${signed(along(0))}, ${names[1]} ${signed(along(1))}`);
    gauge.move(norm(z()));
    length.textContent = `Length of the code |z| = ${norm(z()).toFixed(2)}: ${
      whereInPrior(norm(z()), d)}. Dots: the path from A to B.`;
    stale = [...endPictures];
    catchUp();
    say();
  });
  const showPath = perFrame(() => {
    const stops = Array.from({ length: PATH_STOPS }, (_, i) => at(i / (PATH_STOPS - 1)));
    stops.forEach((code, i) => paint(stripPen, generate(code), shape, i * shape[2]));
    gauge.path(stops.map(norm));
    mode.value = model.get("mode");
  });
  const showStep = () => {
    walk.value = model.get("t");
    walk.setAttribute("aria-valuetext", `${Math.round(100 * model.get("t"))} % of the way from A to B`);
  };

  const bindings = [["z", show], ["t", showStep], ["pin_a", showPath], ["pin_b", showPath],
    ["mode", showPath]];
  for (const [key, fn] of bindings) model.on(`change:${key}`, fn);
  for (const fn of [show, showPath, showStep]) fn();

  root.explorer = { // for tests and for the curious, from the browser's console
    generate,
    /** Milliseconds for one picture, the median of `runs`. */
    benchmark(runs = 200) {
      const times = Array.from({ length: runs }, () => {
        const begun = performance.now();
        for (let i = 0; i < 10; i++) generate(Array.from({ length: d }, random));
        return (performance.now() - begun) / 10;
      });
      return times.sort((a, b) => a - b)[runs >> 1];
    },
  };
  return () => { for (const [key, fn] of bindings) model.off(`change:${key}`, fn); };
}

/** Calls fn for every pointer position from press to release, mouse and finger alike. */
function drag(target, fn) {
  target.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    target.setPointerCapture(event.pointerId);
    fn(event);
  });
  target.addEventListener("pointermove", (event) => {
    if (target.hasPointerCapture(event.pointerId)) fn(event);
  });
}

export default { render };
