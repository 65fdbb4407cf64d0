// The inversion pad: the reader draws, and the page looks for the code whose picture comes nearest.
import { bytes, frame, make, perFrame, settled, throttled } from "./common.js";
import { LAYERS, loadGenerator, norm, normals, paint, smallCanvas, unpackWeight, whereInPrior } from "./generator.js";

// -------------------------------------------------------------------- the gradient with respect to z

/** What a layer sends back: (gradient at its output, its output, its input) -> gradient at its input. */
const BACK = {
  linear({ in: m, out: n, weight }) {
    const w = unpackWeight(weight);
    const back = new Float32Array(m);
    return (g) => {
      for (let i = 0; i < m; i++) {
        let sum = 0;
        for (let j = 0; j < n; j++) sum += w[i * n + j] * g[j];
        back[i] = sum;
      }
      return back;
    };
  },
  // A pixel of the input stamped its kernel onto the output; it gathers the gradient from there.
  conv_transpose({ in: channels, out: n, size, kernel, stride, padding, grown, weight }, gated) {
    const [[height, width], [tall, wide], w] = [size, grown, unpackWeight(weight)];
    const back = new Float32Array(channels * height * width);
    const last = new Float32Array(tall * wide * n); // channels last, so that the inner loop is one run
    return (g, _, x) => {
      for (let c = 0; c < n; c++) for (let p = 0; p < tall * wide; p++) last[p * n + c] = g[c * tall * wide + p];
      for (let c = 0, i = 0; c < channels; c++) {
        for (let row = 0; row < height; row++) {
          for (let column = 0; column < width; column++, i++) {
            back[i] = 0;
            if (gated && x[i] === 0) continue; // the ReLU before lets nothing pass there
            for (let u = 0; u < kernel; u++) {
              const r = row * stride - padding + u;
              if (r < 0 || r >= tall) continue;
              for (let v = 0; v < kernel; v++) {
                const s = column * stride - padding + v;
                if (s < 0 || s >= wide) continue;
                const [from, to] = [(r * wide + s) * n, ((c * kernel + u) * kernel + v) * n];
                let sum = 0;
                for (let j = 0; j < n; j++) sum += w[to + j] * last[from + j];
                back[i] += sum;
              }
            }
          }
        }
      }
      return back;
    };
  },
  reshape: () => (g) => g,
  relu: () => (g, y) => g.map((v, i) => (y[i] > 0 ? v : 0)),
  leaky_relu: ({ slope }) => (g, y) => g.map((v, i) => (y[i] > 0 ? v : slope * v)),
  tanh: () => (g, y) => g.map((v, i) => v * (1 - y[i] * y[i])),
  sigmoid: () => (g, y) => g.map((v, i) => v * y[i] * (1 - y[i])),
};

/** (z, goal) -> the mean squared difference of G(z) from the goal, its gradient with respect to z, the picture. */
export function loadError({ layers }) {
  const forward = layers.map((layer) => LAYERS[layer.op](layer));
  const backward = layers.map((layer, k) => {
    const gated = layers.slice(0, k).findLast((before) => before.op !== "reshape")?.op === "relu";
    return BACK[layer.op](layer, gated);
  });
  return (z, goal) => {
    const values = [Float32Array.from(z)];
    // the pointwise layers work in place: their input is gone, and their output says enough
    for (const step of forward) values.push(step(values.at(-1)));
    const picture = values.at(-1);
    let gradient = picture.map((v, i) => (2 * (v - goal[i])) / goal.length);
    const error = picture.reduce((sum, v, i) => sum + (v - goal[i]) ** 2, 0) / goal.length;
    for (let k = layers.length - 1; k >= 0; k--) gradient = backward[k](gradient, values[k + 1], values[k]);
    return { error, gradient, picture };
  };
}

/** Adam on one code, down error + pull * (|z| - sqrt(d))^2, as gan_utils.control.walk does. */
export function descent(errorOf, z, goal, { lr, pull }) {
  const d = z.length;
  const [m, v] = [new Float64Array(d), new Float64Array(d)];
  let count = 0;
  return () => {
    const { error, gradient, picture } = errorOf(z, goal);
    const before = { z, error, picture };
    const length = norm(z);
    count += 1;
    z = z.map((x, i) => {
      const g = gradient[i] + 2 * pull * (1 - Math.sqrt(d) / length) * x;
      m[i] += 0.1 * (g - m[i]);
      v[i] += 0.001 * (g * g - v[i]);
      return x - (lr * m[i]) / (1 - 0.9 ** count) / (Math.sqrt(v[i] / (1 - 0.999 ** count)) + 1e-8);
    });
    return before;
  };
}

/** Ink as MNIST has it: its longer side fitted to 20 pixels, its centre of mass in the middle. Ink is 1, paper -1. */
export function centred(ink, side) {
  const weight = ink.map((v) => (v + 1) / 2);
  let [top, left, bottom, right] = [side, side, -1, -1];
  for (let i = 0; i < weight.length; i++) {
    if (weight[i] < 0.1) continue;
    const [row, column] = [Math.floor(i / side), i % side];
    [top, left] = [Math.min(top, row), Math.min(left, column)];
    [bottom, right] = [Math.max(bottom, row), Math.max(right, column)];
  }
  if (bottom < 0) return Array.from(ink);
  const zoom = Math.max(bottom - top + 1, right - left + 1) / (side * (20 / 28));
  let [mass, down, across] = [0, 0, 0];
  weight.forEach((w, i) => { mass += w; down += w * Math.floor(i / side); across += w * (i % side); });
  const middle = (side - 1) / 2;
  const at = (row, column) => (row < 0 || column < 0 || row >= side || column >= side ? 0
    : weight[row * side + column]);
  return Array.from(ink, (_, i) => { // bilinear, from the drawing's frame
    const r = down / mass + (Math.floor(i / side) - middle) * zoom;
    const s = across / mass + ((i % side) - middle) * zoom;
    const [r0, s0] = [Math.floor(r), Math.floor(s)];
    const [fr, fs] = [r - r0, s - s0];
    const value = (1 - fr) * ((1 - fs) * at(r0, s0) + fs * at(r0, s0 + 1))
      + fr * ((1 - fs) * at(r0 + 1, s0) + fs * at(r0 + 1, s0 + 1));
    return 2 * value - 1;
  });
}

// ---------------------------------------------------------------------------------------- the page

const BUDGET_MS = 9; // of a frame's 16: the page must stay alive under the search
const INVERSION_CSS = `
.gan-inversion .stage { display: flex; flex-wrap: wrap; gap: .8rem 1.2rem; }
.gan-inversion figure { margin: 0; flex: 1 1 8rem; max-width: 14rem; min-width: 0; }
.gan-inversion figure.pad { flex: 2 1 12rem; max-width: 18rem; }
.gan-inversion figcaption { font-size: .87em; line-height: 1.3; margin: .25rem 0 0; color: inherit; }
.gan-inversion figure canvas { display: block; width: 100%; background: #000; border-radius: .5rem; }
.gan-inversion .pad canvas { cursor: crosshair; touch-action: none; }
.gan-inversion .row { margin-top: .6rem; }
.gan-inversion .example { padding: .2rem; width: 2.9rem; }
.gan-inversion .example canvas { display: block; width: 100%; border-radius: .3rem; background: #000; }
.gan-inversion .news { min-height: 2.9em; margin-top: .5rem; }
`;

const fixed = (v) => v.toFixed(3);

function render({ model, el }) {
  const { network, examples, title, search, seed } = model.get("data");
  const { shape, latent_dim: d } = network;
  const [, height, width] = shape;
  const generate = loadGenerator(network);
  const errorOf = loadError(network);
  const random = normals(seed);
  const root = frame(el, "gan-inversion", title, INVERSION_CSS);
  const save = throttled(() => model.save_changes(), 120);
  const change = (values) => {
    for (const [key, value] of Object.entries(values)) model.set(key, value);
    save();
  };
  const side = width;
  const zoom = 10;
  const ink = new Float32Array(side * side).fill(-1); // the drawing, before it is centred

  const canvas = (properties = {}, scale = 4) => make("canvas",
    { width: width * scale, height: height * scale, role: "img", ...properties });
  const enlarge = (screen, picture) => {
    const small = smallCanvas(shape);
    paint(small.getContext("2d"), picture, shape);
    const pen = screen.getContext("2d");
    pen.imageSmoothingQuality = "high";
    pen.drawImage(small, 0, 0, screen.width, screen.height);
  };
  const pad = canvas({ tabIndex: 0, role: "application", "aria-label":
    "Drawing pad: arrow keys move the pen, Space puts it down or lifts it" }, zoom);
  const goal = canvas({ "aria-label": "The drawing, centred and brought to size" });
  const found = canvas({ "aria-label": "The generator's nearest picture" });
  const foundWords = make("figcaption", {}, "");
  const news = make("p", { className: "news num" });
  const live = make("p", { className: "unseen", "aria-live": "polite" });

  // Drawing: a soft round pen, with a pointer or with keys.
  const pen = { x: width / 2, y: height / 2, down: false };
  const dab = (x, y) => {
    for (let i = 0; i < ink.length; i++) {
      const far = Math.hypot((i % side) + 0.5 - x, Math.floor(i / side) + 0.5 - y);
      ink[i] = Math.max(ink[i], 2 * Math.min(1, Math.max(0, 1.9 - far)) - 1);
    }
  };
  const stroke = (x, y) => {
    const steps = Math.ceil(2 * Math.hypot(x - pen.x, y - pen.y)) || 1;
    for (let k = 1; k <= steps; k++) dab(pen.x + ((x - pen.x) * k) / steps, pen.y + ((y - pen.y) * k) / steps);
    Object.assign(pen, { x, y });
    drawn();
  };
  const place = (event) => {
    const box = pad.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
  };
  pad.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    pad.setPointerCapture(event.pointerId);
    [pen.x, pen.y] = place(event);
    stroke(pen.x, pen.y);
  });
  pad.addEventListener("pointermove", (event) => {
    if (pad.hasPointerCapture(event.pointerId)) stroke(...place(event));
  });
  pad.addEventListener("keydown", (event) => {
    const move = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey || !(move || event.key === " ")) return;
    event.preventDefault();
    event.stopPropagation();
    if (!move) {
      pen.down = !pen.down;
      live.textContent = pen.down ? "Pen down" : "Pen up";
      if (pen.down) stroke(pen.x, pen.y);
    } else {
      const next = [Math.min(width, Math.max(0, pen.x + move[0])), Math.min(height, Math.max(0, pen.y + move[1]))];
      if (pen.down) stroke(...next); else [pen.x, pen.y] = next;
    }
    showPad();
  });

  // The search: random codes first, then Adam from the best of them, a few steps in each frame.
  let run = 0;
  function look() {
    const mine = run += 1;
    const target = model.get("target");
    if (!target.some((v) => v > -0.9)) return;
    const tried = [];
    let best = { error: Infinity };
    let [step, walking, walk] = [0, 0, null];
    const keep = ({ z, error, picture }) => {
      if (error >= best.error) return;
      best = { z, error, picture: Float32Array.from(picture) };
    };
    const advance = () => {
      if (tried.length < search.codes) {
        const z = Array.from({ length: d }, random);
        const picture = generate(z);
        const error = picture.reduce((sum, v, i) => sum + (v - target[i]) ** 2, 0) / target.length;
        tried.push({ z, error });
        keep({ z, error, picture });
        return true;
      }
      if (!walk) {
        if (walking === 0) {
          tried.sort((a, b) => a.error - b.error);
          change({ baseline: tried[0].error });
        }
        if (walking === search.starts) return false;
        walk = descent(errorOf, tried[walking].z, target, search);
        [step, walking] = [0, walking + 1];
      }
      keep(walk());
      step += 1;
      if (step > search.steps) walk = null;
      return true;
    };
    const tick = () => {
      if (mine !== run || !root.isConnected) return;
      const until = performance.now() + BUDGET_MS;
      let more = true;
      while (more && performance.now() < until) more = advance();
      change({ z: best.z, error: best.error });
      news.textContent = tried.length < search.codes ? `Random codes: ${tried.length} of ${search.codes}.`
        : `Walk ${walking} of ${search.starts}. Nearest of ${search.codes} random codes: error ${
          fixed(model.get("baseline"))}.`;
      if (more) requestAnimationFrame(tick);
      else done();
    };
    requestAnimationFrame(tick);
  }
  const done = () => {
    const length = norm(model.get("z"));
    news.textContent = `Found after ${search.starts} walks: error ${fixed(model.get("error"))}, against ${
      fixed(model.get("baseline"))} for the nearest of ${search.codes} random codes. Its code is ${
      whereInPrior(length, d)}.`;
    live.textContent = news.textContent;
  };
  const restart = settled(look, 120);
  const drawn = perFrame(() => {
    change({ target: centred(ink, side).map((v) => Number(v.toFixed(3))) });
    showPad();
    restart();
  });

  const button = (text, onclick) => make("button", { type: "button", onclick }, text);
  const clear = () => {
    run += 1;
    ink.fill(-1);
    Object.assign(pen, { down: false });
    change({ target: Array.from(ink), z: [], error: -1, baseline: -1 });
    news.textContent = "Draw here, or take one of those below.";
    showPad();
  };
  const samples = examples.map(({ pixels, name }) => {
    const values = Float32Array.from(bytes(pixels), (v) => v / 127.5 - 1);
    const small = smallCanvas(shape, 1, { "aria-hidden": true });
    paint(small.getContext("2d"), values, shape);
    const node = make("button", { type: "button", className: "example", "aria-label": `Take ${name}`,
      onclick: () => {
        ink.set(values);
        change({ target: Array.from(values, (v) => Number(v.toFixed(3))) });
        showPad();
        restart();
      } }, small);
    return node;
  });
  root.append(make("p", { className: "title" }, title), make("div", { className: "stage" },
    make("figure", { className: "pad" }, pad, make("figcaption", {}, "your drawing")),
    make("figure", {}, goal, make("figcaption", {}, "centred: the image to be found")),
    make("figure", {}, found, foundWords)), news,
  make("div", { className: "row" }, button("Clear", clear), button("Search again", () => look()), ...samples), live);

  const showPad = perFrame(() => {
    enlarge(pad, ink);
    const mark = pad.getContext("2d");
    mark.strokeStyle = pen.down ? "#ee9a52" : "#56b4e9";
    mark.lineWidth = 2;
    mark.strokeRect(pen.x * zoom - 5, pen.y * zoom - 5, 10, 10);
  });
  const showGoal = perFrame(() => enlarge(goal, model.get("target")));
  const showFound = perFrame(() => {
    const z = model.get("z");
    enlarge(found, z.length ? generate(z) : new Float32Array(height * width).fill(-1));
    foundWords.textContent = z.length ? `G(z), error ${fixed(model.get("error"))}` : "G(z): nothing sought yet";
  });
  const bindings = [["target", showGoal], ["z", showFound], ["error", showFound]];
  for (const [key, fn] of bindings) model.on(`change:${key}`, fn);
  news.textContent = "Draw here, or take one of those below.";
  ink.set(model.get("target"));
  for (const fn of [showPad, showGoal, showFound]) fn();

  root.inversion = { // for tests and for the curious
    /** Milliseconds for one step of a walk, the median of `runs`. */
    benchmark(runs = 40) {
      const step = descent(errorOf, Array.from({ length: d }, random), model.get("target"), search);
      const times = Array.from({ length: runs }, () => {
        const begun = performance.now();
        step();
        return performance.now() - begun;
      });
      return times.sort((a, b) => a - b)[runs >> 1];
    },
  };
  return () => {
    run += 1;
    for (const [key, fn] of bindings) model.off(`change:${key}`, fn);
  };
}

export default { render };
