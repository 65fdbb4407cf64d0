// A critic in the plane: it learns to tell fakes from data in the reader's page, held by the chosen constraint.
// The arithmetic is that of gan.js; a run depends on its settings alone, and Python makes the same one.
import { draw, frame, make, perFrame, prefersCalm } from "./common.js";
import { CSS, clamp, dashed, grid, hold, key, line, makeDesk, makePlot, makeReadings, makeSelect, makeSlider, marker,
  places, put } from "./desk.js";
import { backward, forward, gradientPenalty, initWeights, inputGradient, makeLosses, makeNet, makeOptimiser, makeTape,
  meanCost, normals, r1Penalty, uniforms } from "./gan.js";

// ------------------------------------------------------------------------------ arithmetic

export const COUNT = 64; // real points, and as many fakes
export const LONGEST = 400;
const WIDTH = 32;
const SPREAD = 0.25; // standard deviation of the fakes, and of the data where it is one cluster

/** Real points and fakes, (COUNT, 2) each: the whole data of a run. */
export function makePoints({ seed, real_law, fake_x, fake_y }) {
  const uniform = uniforms(seed, 1);
  const normal = normals(uniform);
  const real = Float64Array.from({ length: 2 * COUNT }, normal);
  const fake = Float64Array.from({ length: 2 * COUNT }, normal);
  for (let k = 0; k < COUNT; k++) {
    const angle = (2 * Math.PI * (k % 8)) / 8;
    const [x, y, std] = real_law === "ring" ? [1.5 * Math.cos(angle), 1.5 * Math.sin(angle), 0.05] : [1.2, 0, SPREAD];
    real[2 * k] = x + std * real[2 * k];
    real[2 * k + 1] = y + std * real[2 * k + 1];
    fake[2 * k] = fake_x + SPREAD * fake[2 * k];
    fake[2 * k + 1] = fake_y + SPREAD * fake[2 * k + 1];
  }
  return { real, fake };
}

/**
 * The cheapest pairing of n points with n others, its mean distance: the Wasserstein-1 distance of the two
 * samples. Hungarian method with potentials u and v (Kuhn 1955), n^3 steps.
 */
export function pairingCost(x, y, n) {
  const cost = (i, j) => Math.hypot(x[2 * i] - y[2 * j], x[2 * i + 1] - y[2 * j + 1]);
  const [u, v] = [new Float64Array(n + 1), new Float64Array(n + 1)];
  const [owner, way] = [new Int32Array(n + 1), new Int32Array(n + 1)]; // place 0 stands for "none yet"
  for (let i = 1; i <= n; i++) {
    owner[0] = i;
    let j = 0;
    const least = new Float64Array(n + 1).fill(Infinity);
    const used = new Uint8Array(n + 1);
    do { // the cheapest way from i to a free place
      used[j] = 1;
      const row = owner[j];
      let [step, next] = [Infinity, 0];
      for (let k = 1; k <= n; k++) {
        if (used[k]) continue;
        const reduced = cost(row - 1, k - 1) - u[row] - v[k];
        if (reduced < least[k]) { least[k] = reduced; way[k] = j; }
        if (least[k] < step) { step = least[k]; next = k; }
      }
      for (let k = 0; k <= n; k++) {
        if (used[k]) { u[owner[k]] += step; v[k] -= step; } else least[k] -= step;
      }
      j = next;
    } while (owner[j] !== 0);
    while (j !== 0) { owner[j] = owner[way[j]]; j = way[j]; }
  }
  let sum = 0;
  for (let k = 1; k <= n; k++) sum += cost(owner[k] - 1, k - 1);
  return sum / n;
}

/**
 * A critic before its first step, and how it learns: `step()` is one step of Adam on all points. `estimates[k]`
 * is E[D(real)] - E[D(fake)] after k steps, `weights[k]` the network then.
 */
export function makeCritic(settings) {
  const { seed, constraint, strength } = settings;
  const { real, fake } = makePoints(settings);
  const D = initWeights(makeNet([2, WIDTH, WIDTH, 1]), uniforms(seed, 0));
  const descend = makeOptimiser(D, { kind: "adam", lr: 5e-3, beta1: 0.5, beta2: 0.9 });
  const loss = makeLosses().wasserstein;
  const [tape, line, spare] = [makeTape(D, 2 * COUNT), makeTape(D, COUNT), makeTape(D, COUNT)];
  const mix = uniforms(seed, 2);
  const critic = { D, real, fake, estimates: [], weights: [] };
  const look = () => {
    tape.h[0].set(real);
    tape.h[0].set(fake, 2 * COUNT);
    const scores = forward(D, tape, 2 * COUNT);
    const slopes = tape.d[D.layers.length];
    const value = meanCost(loss.real, scores, slopes, 0, COUNT) + meanCost(loss.fake, scores, slopes, COUNT, COUNT);
    critic.estimates.push(-value);
    critic.weights.push(D.theta.slice());
  };
  critic.step = () => { // `look` has left the slopes of the loss behind
    D.grad.fill(0);
    backward(D, tape, 2 * COUNT, { input: false });
    if (constraint === "r1") {
      line.h[0].set(real);
      r1Penalty(D, line, spare, COUNT, strength / 2);
    } else if (constraint === "two_sided" || constraint === "one_sided") {
      onTheLines(critic, line.h[0], mix);
      gradientPenalty(D, line, spare, COUNT, strength, constraint === "one_sided");
    }
    descend();
    if (constraint === "clip") D.theta.forEach((w, k) => { D.theta[k] = clamp(w, -strength, strength); });
    look();
  };
  look();
  return critic;
}

/** One point on the line between each real point and its fake. */
export function onTheLines({ real, fake }, x, mix) {
  for (let k = 0; k < COUNT; k++) {
    const share = mix(); // one place for both coordinates
    for (let i = 2 * k; i < 2 * k + 2; i++) x[i] = share * real[i] + (1 - share) * fake[i];
  }
}

/** |grad D| at the n points in x, with D's weights set to `theta`; D's answers and the gradients beside. */
export function slopesAt(D, theta, x, n) {
  const [tape, kept] = [makeTape(D, n), D.theta.slice()];
  D.theta.set(theta);
  tape.h[0].set(x);
  const gradient = inputGradient(D, tape, n);
  D.theta.set(kept);
  return { scores: tape.h[D.layers.length], gradient,
    slopes: Float64Array.from({ length: n }, (_, k) => Math.hypot(gradient[2 * k], gradient[2 * k + 1])) };
}

// ------------------------------------------------------------------------------ what is drawn

const REACH = 2.2;
const SIDE = 45; // cells of the surface, each way
const ARROWS = 12;
const CONSTRAINTS = { two_sided: "gradient penalty, two-sided", one_sided: "gradient penalty, one-sided",
  clip: "weights clipped", r1: "R1", none: "nothing" };
const STRENGTHS = { two_sided: ["\u03bb", 10], one_sided: ["\u03bb", 10], clip: ["limit", 0.1], r1: ["\u03b3", 1],
  none: ["\u2013", 1] };
const MORE_CSS = `
.gan-critic .plot svg.plane { cursor: grab; }
.gan-critic .readings { margin-top: .4rem; }
`;

const rgb = (hex) => [1, 3, 5].map((k) => parseInt(hex.trim().slice(k, k + 2), 16));
const blend = (from, to, share) => from.map((v, i) => v + (to[i] - v) * share);

/** Even places over the plane, row by row from the top: (side^2, 2). */
function mesh(side) {
  const x = new Float64Array(2 * side * side);
  for (let k = 0; k < side * side; k++) {
    x[2 * k] = -REACH + (2 * REACH * ((k % side) + 0.5)) / side;
    x[2 * k + 1] = REACH - (2 * REACH * (Math.floor(k / side) + 0.5)) / side;
  }
  return x;
}

/** The level lines of values on the mesh, as one path through `at(column, row)`: marching over triangles. */
export function levelLines(values, side, levels, at) {
  let out = "";
  const cut = (level, ...corners) => {
    const ends = [];
    for (let i = 0; i < 3; i++) {
      const [a, b] = [corners[i], corners[(i + 1) % 3]];
      if ((a[2] < level) === (b[2] < level)) continue;
      const share = (level - a[2]) / (b[2] - a[2]);
      ends.push(at(a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])));
    }
    if (ends.length === 2) out += `M${ends[0][0].toFixed(1)} ${ends[0][1].toFixed(1)}L${ends[1][0].toFixed(1)} ${
      ends[1][1].toFixed(1)}`;
  };
  for (let row = 0; row + 1 < side; row++) {
    for (let column = 0; column + 1 < side; column++) {
      const corner = (i, j) => [column + i, row + j, values[(row + j) * side + column + i]];
      const [a, b, c, d] = [corner(0, 0), corner(1, 0), corner(0, 1), corner(1, 1)];
      for (const level of levels) { cut(level, a, b, c); cut(level, b, c, d); }
    }
  }
  return out;
}

function render({ model, el }) {
  const { title } = model.get("data");
  const root = frame(el, "gan-game gan-critic", title, CSS + MORE_CSS);
  const learnt = ["seed", "real_law", "fake_x", "fake_y", "constraint", "strength"];
  const desk = makeDesk(model, [...learnt, "steps", "view"], root);
  const settings = () => Object.fromEntries(learnt.map((name) => [name, desk.get(name)]));
  const ticks = [-2, -1, 0, 1, 2];
  const plane = makePlot("The critic: take the fakes and move them", { x: [-REACH, REACH], y: [-REACH, REACH],
    xTicks: ticks, yTicks: ticks, yWords: (v) => places(v, 0), xLabel: "arrows: where it sends a fake, and how hard",
    width: 360, height: 348 });
  const course = makePlot("Its estimate, step by step (dashed: the true W1)", { x: [0, LONGEST], y: [0.01, 1000],
    xTicks: [0, 100, 200, 300, 400], yTicks: [0.01, 0.1, 1, 10, 100, 1000], xLabel: "step", log: true, height: 175 });
  const spread = makePlot("Its slopes on the lines between real and fake (dashed: 1)", { x: [0, 3], y: [0, 1],
    xTicks: [0, 1, 2, 3], yTicks: [0, 0.5, 1], xLabel: "|grad D|; the last bar: 3 and above", height: 165 });

  const surface = draw("image", { x: plane.x(-REACH), y: plane.y(REACH), width: plane.x(REACH) - plane.x(-REACH),
    height: plane.y(-REACH) - plane.y(REACH), preserveAspectRatio: "none" });
  const levels = draw("path", { fill: "none", stroke: "var(--ink)", "stroke-width": 0.7, opacity: 0.55 });
  const arrows = draw("path", { fill: "none", stroke: "var(--ink)", "stroke-width": 1.3 });
  const dots = { real: draw("path", { fill: "var(--a)", stroke: "var(--paper)", "stroke-width": 0.8 }),
    fake: draw("path", { fill: "var(--b)", stroke: "var(--paper)", "stroke-width": 0.8 }) };
  const centre = marker("b", "square");
  plane.layer.append(surface, levels, arrows, dots.real, dots.fake, centre);
  const [told, spot] = [line("c"), marker("c", "round")];
  const truth = dashed(course, 1);
  course.layer.append(truth, told, spot);
  const bars = draw("path", { fill: "var(--c)", opacity: 0.75 });
  spread.layer.append(bars, draw("line", { x1: spread.x(1), x2: spread.x(1), y1: 0, y2: 999, stroke: "var(--ink)",
    "stroke-width": 1.2, "stroke-dasharray": "4 4" }));
  const readings = makeReadings(["step", "estimate", "true W1", "mean slope on the lines", "steepest place"]);
  const verdict = make("p", { className: "verdict" });
  const play = make("button", { type: "button" });
  const again = make("button", { type: "button" }, "Other start");
  again.addEventListener("click", () => desk.set({ seed: (desk.get("seed") + 1) % 100 }));

  plane.svg.classList.add("plane");
  hold(plane.svg, () => {}, (event) => {
    const [fake_x, fake_y] = plane.at(event).map((v) => Math.round(clamp(v, -1.8, 1.8) * 20) / 20);
    desk.set({ fake_x, fake_y });
  });
  const legend = make("ul", { className: "readings" }, make("li", {}, key("a", "", "round"), " real"),
    make("li", {}, key("b", "7 4", "square"), " fake"));
  for (const svg of legend.querySelectorAll("svg")) svg.style.cssText = "width: 1.9em; height: .8em";
  const kind = makeSelect(desk, { key: "constraint", label: "held by", called: "what holds the critic",
    options: CONSTRAINTS });
  kind.querySelector("select").addEventListener("change", () => // each kind has its own usual strength
    desk.set({ strength: STRENGTHS[desk.get("constraint")][1] }));
  const strength = makeSlider(desk, { key: "strength", label: "strength", called: "strength: lambda, gamma or limit",
    min: -2, max: 2, step: 0.1, to: Math.log10, from: (v) => Number((10 ** v).toPrecision(3)) });
  root.append(make("p", { className: "title" }, title), legend,
    make("div", { className: "stage" }, make("div", {}, plane.node), make("div", {}, course.node, spread.node)),
    readings.list, verdict,
    make("div", { className: "controls" }, kind, strength,
      makeSlider(desk, { key: "steps", label: "steps", min: 0, max: LONGEST, step: 1, digits: 0 }),
      make("div", { className: "control" }, play, again),
      makeSlider(desk, { key: "fake_x", label: "fakes across", min: -1.8, max: 1.8, step: 0.05 }),
      makeSlider(desk, { key: "fake_y", label: "fakes up", min: -1.8, max: 1.8, step: 0.05 }),
      makeSelect(desk, { key: "real_law", label: "data", options: { cluster: "one cluster",
        ring: "ring of eight" } }),
      makeSelect(desk, { key: "view", label: "colour", called: "what the colour shows", options: {
        slope: "slope: plain where it is 1", score: "score of the critic" } })));

  let [playing, timer] = [false, null];
  const nameButton = () => { play.textContent = playing ? "\u275a\u275a Pause" : "\u25b6 Play"; };
  const stop = () => { clearInterval(timer); playing = false; nameButton(); };
  desk.touched = stop;
  play.addEventListener("click", () => {
    if (playing) return stop();
    if (desk.get("steps") === LONGEST) desk.set({ steps: 0 });
    const [pause, stride] = prefersCalm() ? [1000, 50] : [40, 2];
    playing = true;
    timer = setInterval(() => {
      desk.set({ steps: Math.min(LONGEST, desk.get("steps") + stride) });
      if (desk.get("steps") === LONGEST) stop();
    }, pause);
    nameButton();
  });

  const cells = mesh(SIDE); // where the surface is computed
  const posts = mesh(ARROWS);
  const sheet = make("canvas", { width: SIDE, height: SIDE });
  const paint = (scores, slopes) => {
    const style = getComputedStyle(root);
    const [paper, low, high] = ["--paper", "--a", "--b"].map((name) => rgb(style.getPropertyValue(name)));
    const pen = sheet.getContext("2d");
    const image = pen.createImageData(SIDE, SIDE);
    const [least, most] = [Math.min(...scores), Math.max(...scores)];
    const bySlope = desk.get("view") === "slope";
    for (let k = 0; k < SIDE * SIDE; k++) {
      const excess = bySlope ? clamp(slopes[k] - 1, -1, 1)
        : 1 - (2 * (scores[k] - least)) / (most - least || 1); // high scores: real
      image.data.set([...blend(paper, excess < 0 ? low : high, 0.75 * Math.abs(excess)), 255], 4 * k);
    }
    pen.putImageData(image, 0, 0);
    surface.setAttribute("href", sheet.toDataURL());
    const jump = [0.25, 0.5, 1, 2, 5, 10, 25, 50, 100, 1000].find((v) => (most - least) / v < 24) ?? 1e4;
    const rungs = [];
    for (let v = Math.ceil(least / jump); v * jump < most; v++) rungs.push(v * jump);
    const scale = (2 * REACH) / SIDE;
    levels.setAttribute("d", levelLines(scores, SIDE, rungs, (c, r) =>
      [plane.x(-REACH + (c + 0.5) * scale), plane.y(REACH - (r + 0.5) * scale)]));
    return jump;
  };
  const point = ({ scores, gradient, slopes }) => {
    let out = "";
    for (let k = 0; k < slopes.length; k++) {
      const long = 15 * Math.min(slopes[k], 2); // of the plot's units; a slope of 1 is an arrow of 15
      if (long < 0.5) continue;
      const [dx, dy] = [(gradient[2 * k] / slopes[k]) * long, (-gradient[2 * k + 1] / slopes[k]) * long];
      const [x, y] = [plane.x(posts[2 * k]) + dx / 2, plane.y(posts[2 * k + 1]) + dy / 2];
      const wing = (turn) => `M${x.toFixed(1)} ${y.toFixed(1)}l${(-0.3 * (dx + turn * dy)).toFixed(1)} ${
        (-0.3 * (dy - turn * dx)).toFixed(1)}`;
      out += `M${(x - dx).toFixed(1)} ${(y - dy).toFixed(1)}l${dx.toFixed(1)} ${dy.toFixed(1)}`;
      out += wing(0.7) + wing(-0.7);
    }
    arrows.setAttribute("d", out);
  };
  const scatter = (x, shape) => {
    let out = "";
    for (let k = 0; k < COUNT; k++) {
      const [px, py] = [plane.x(x[2 * k]).toFixed(1), plane.y(x[2 * k + 1]).toFixed(1)];
      out += shape === "round" ? `M${px} ${py}m-2.6 0a2.6 2.6 0 1 0 5.2 0a2.6 2.6 0 1 0-5.2 0z`
        : `M${px} ${py}m-2.3-2.3h4.6v4.6h-4.6z`;
    }
    return out;
  };

  let [known, critic, w1] = ["", null, 0];
  const lines = new Float64Array(2 * COUNT);
  let closed = false;
  const go = perFrame(() => { if (!closed) desk.show(); });
  desk.onShow(() => {
    const now = JSON.stringify(settings());
    if (now !== known) {
      known = now;
      critic = makeCritic(settings());
      w1 = pairingCost(critic.real, critic.fake, COUNT);
      onTheLines(critic, lines, uniforms(desk.get("seed"), 3));
      dots.real.setAttribute("d", scatter(critic.real, "round"));
      dots.fake.setAttribute("d", scatter(critic.fake, "square"));
    }
    const wanted = desk.get("steps");
    const end = performance.now() + 10; // a few steps a frame: the reader sees it learn
    while (critic.estimates.length <= wanted && performance.now() < end) critic.step();
    const n = Math.min(wanted, critic.estimates.length - 1);
    if (n < wanted) go();
    const theta = critic.weights[n];
    const seen = slopesAt(critic.D, theta, cells, SIDE * SIDE);
    const jump = paint(seen.scores, seen.slopes);
    point(slopesAt(critic.D, theta, posts, ARROWS * ARROWS));
    const { slopes } = slopesAt(critic.D, theta, lines, COUNT);
    const shares = new Float64Array(30);
    for (const s of slopes) shares[Math.min(29, Math.floor(s * 10))] += 1 / COUNT;
    bars.setAttribute("d", [...shares].map((share, k) => `M${spread.x(k / 10 + 0.008)} ${spread.y(0)}V${
      spread.y(share)}H${spread.x((k + 1) / 10 - 0.008)}V${spread.y(0)}z`).join(""));
    put(centre, plane.x(desk.get("fake_x")), plane.y(desk.get("fake_y")));
    for (const end of ["y1", "y2"]) truth.setAttribute(end, course.y(w1));
    told.setAttribute("d", course.path(critic.estimates.slice(0, n + 1).map((v, k) => [k, v])));
    const estimate = critic.estimates[n];
    put(spot, course.x(n), course.y(clamp(estimate, 0.0101, 990)));
    const mean = slopes.reduce((sum, s) => sum + s / COUNT, 0);
    const steepest = seen.slopes.reduce((most, s) => Math.max(most, s), 0);
    readings.fill([String(n), places(estimate), places(w1), places(mean), places(steepest)]);
    const ratio = estimate / w1;
    const constraint = desk.get("constraint");
    const words = n < wanted ? "It learns \u2026"
      : ratio > 1.15 ? `The estimate is ${places(ratio, 1)} times the true distance: the critic is too steep.`
        : ratio < 0.85 ? `The estimate is ${places(ratio)} of the true distance: too flat, or not trained yet.`
          : "The estimate is within 15 % of the true distance.";
    verdict.textContent = words;
    const [symbol] = STRENGTHS[constraint];
    strength.querySelector("span").textContent = symbol === "\u2013" ? "strength" : `${symbol}`;
    strength.querySelector("input").disabled = constraint === "none";
    plane.svg.setAttribute("aria-label", `The plane with ${COUNT} real points, ${COUNT} fakes around `
      + `${places(desk.get("fake_x"))}, ${places(desk.get("fake_y"))}, the critic as colour, a level line each `
      + `${jump}, and arrows along its slope.`);
    course.svg.setAttribute("aria-label", `Estimate of the critic against the step: ${places(estimate)} after ${n} `
      + `steps; the true distance is ${places(w1)}.`);
    spread.svg.setAttribute("aria-label", `Slopes of the critic on the lines between real and fake: mean `
      + `${places(mean)}.`);
    if (n === wanted) desk.summary(`${CONSTRAINTS[constraint]}, after ${n} steps: estimate ${places(estimate)}, true `
      + `distance ${places(w1)}, mean slope on the lines ${places(mean)}. ${words}`);
  });
  nameButton();
  desk.show();
  return () => { closed = true; stop(); desk.close(); };
}

export default { render };
