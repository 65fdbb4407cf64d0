// The minimax game, three times: two densities and the best D; both losses of G against the logit; the Dirac-GAN.
// Each is closed form and quick enough to be computed anew for every picture. One module: they have much in common.
import { draw, frame, make, prefersCalm } from "./common.js";
import { CSS, clamp, dashed, grid, hold, key, line, makeDesk, makePlot, makeReadings, makeSelect, makeSlider, marker,
  places, put } from "./desk.js";

// ------------------------------------------------------------------------------ arithmetic: two densities

export const LOG2 = Math.log(2);
const REACH = 25; // nothing that the sliders can set has mass beyond

/** log(e^a + e^b) without overflow. */
function logAdd(a, b) {
  const top = Math.max(a, b);
  return top === -Infinity ? top : top + Math.log1p(Math.exp(Math.min(a, b) - top));
}

const logNormal = (x, m, s) => -0.5 * ((x - m) / s) ** 2 - Math.log(s * Math.sqrt(2 * Math.PI));

// Every law has mean `centre` and standard deviation `width`; the logarithm never underflows.
const LAWS = {
  gaussian: { log: (x, m, s) => logNormal(x, m, s), edges: () => [] },
  uniform: {
    log: (x, m, s) => (Math.abs(x - m) < Math.sqrt(3) * s ? -Math.log(2 * Math.sqrt(3) * s) : -Infinity),
    edges: (m, s) => [m - Math.sqrt(3) * s, m + Math.sqrt(3) * s],
  },
  humps: { // at m +- .9 s, each of standard deviation sqrt(1 - .81) s
    log: (x, m, s) => logAdd(logNormal(x, m - 0.9 * s, Math.sqrt(0.19) * s),
      logNormal(x, m + 0.9 * s, Math.sqrt(0.19) * s)) - LOG2,
    edges: () => [],
  },
};
const LAW_NAMES = { gaussian: "Gaussian", uniform: "uniform", humps: "two humps" };

export const logDensity = ({ law, centre, width }, x) => LAWS[law].log(x, centre, width);

/** The best D's probability of "real" at x; NaN where neither law has mass. */
export const bestD = (p, q, x) => 1 / (1 + Math.exp(logDensity(q, x) - logDensity(p, x)));

/** Divergences of q from p by the midpoint rule, in pieces between the edges of the laws. */
export function compare(p, q, cell = 0.02) {
  const edges = [p, q].flatMap(({ law, centre, width }) => LAWS[law].edges(centre, width));
  const cuts = [-REACH, ...edges, REACH].sort((a, b) => a - b);
  let [jsd, w1, pq, qp, gap] = [0, 0, 0, 0, 0];
  for (let k = 1; k < cuts.length; k++) {
    const n = Math.ceil((cuts[k] - cuts[k - 1]) / cell);
    const step = (cuts[k] - cuts[k - 1]) / n;
    for (let i = 0; i < n; i++) {
      const x = cuts[k - 1] + (i + 0.5) * step;
      const [a, b] = [logDensity(p, x), logDensity(q, x)];
      const [real, fake, middle] = [Math.exp(a), Math.exp(b), logAdd(a, b) - LOG2];
      if (real > 0) { jsd += real * (a - middle) * step / 2; pq += real * (a - b) * step; }
      if (fake > 0) { jsd += fake * (b - middle) * step / 2; qp += fake * (b - a) * step; }
      const change = (real - fake) * step;
      w1 += Math.abs(gap + change / 2) * step; // the area between the distribution functions
      gap += change;
    }
  }
  return { jsd, w1, pq, qp, value: 2 * jsd - 2 * LOG2 };
}

// ------------------------------------------------------------------------------ arithmetic: the logit

const sigmoid = (l) => (l >= 0 ? 1 / (1 + Math.exp(-l)) : Math.exp(l) / (1 + Math.exp(l)));
const softplus = (l) => Math.max(l, 0) + Math.log1p(Math.exp(-Math.abs(l)));

/** Both losses of G at a fake's logit, and their slopes. */
export function losses(l) {
  return {
    probability: sigmoid(l), minimax: -softplus(l), nonSaturating: softplus(-l),
    minimaxSlope: -sigmoid(l), nonSaturatingSlope: -sigmoid(-l), ratio: Math.exp(-l),
  };
}

// ------------------------------------------------------------------------------ arithmetic: the Dirac-GAN

// Slopes of D's and of G's loss with respect to the fake's logit theta * psi.
const GAMES = {
  minimax: { d: sigmoid, g: (l) => -sigmoid(l), atRest: 0.5, name: "minimax" },
  non_saturating: { d: sigmoid, g: (l) => -sigmoid(-l), atRest: 0.5, name: "non-saturating" },
  wasserstein: { d: () => 1, g: () => -1, atRest: 1, name: "Wasserstein" },
};

/** One step from (theta, psi): both at once, or D first and then G against the new D. */
export function diracStep([theta, psi], { game, order, lr, r1_gamma }) {
  const { d, g } = GAMES[game];
  const next = psi - lr * (d(theta * psi) * theta + r1_gamma * psi);
  const seen = order === "alternating" ? next : psi;
  return [theta - lr * g(theta * seen) * seen, next];
}

/** The states of `steps` steps; it ends where the numbers leave every plot. */
export function diracRun(start, settings, steps) {
  const states = [start];
  while (states.length <= steps && Math.hypot(...states.at(-1)) < 1e9) {
    states.push(diracStep(states.at(-1), settings));
  }
  return states;
}

/** Modulus and angle of the larger eigenvalue of a step, linearised at rest. */
export function diracEigenvalue({ game, order, lr, r1_gamma }) {
  const a = lr * GAMES[game].atRest;
  const determinant = 1 - lr * r1_gamma + (order === "alternating" ? 0 : a * a);
  const half = (2 - lr * r1_gamma - (order === "alternating" ? a * a : 0)) / 2;
  const inside = half * half - determinant;
  if (inside < -1e-15) return { modulus: Math.sqrt(determinant), angle: Math.atan2(Math.sqrt(-inside), half) };
  const root = Math.sqrt(Math.max(inside, 0));
  const larger = Math.abs(half + root) >= Math.abs(half - root) ? half + root : half - root;
  return { modulus: Math.abs(larger), angle: larger < 0 ? Math.PI : 0 };
}

// ------------------------------------------------------------------------------ demonstration: two densities

const DENSITY_KEYS = ["real_law", "real_centre", "real_width", "fake_law", "fake_centre", "fake_width"];

function renderDensities({ model, el, title }) {
  const root = frame(el, "gan-game", title, CSS);
  const desk = makeDesk(model, DENSITY_KEYS, root);
  const law = (side) => ({ law: desk.get(`${side}_law`), centre: desk.get(`${side}_centre`),
    width: desk.get(`${side}_width`) });
  const [span, xs] = [[-8, 8], grid(-8, 8, 480)];
  const ticks = [-8, -4, 0, 4, 8];
  const top = makePlot("Densities: take one and move it", { x: span, y: [0, 0.85], xTicks: ticks, xLabel: "x",
    yTicks: [0, 0.2, 0.4, 0.6, 0.8], height: 200 });
  const below = makePlot("The best D: its probability of \u201creal\u201d", { x: span, y: [-0.04, 1.04], xTicks: ticks,
    xLabel: "x", yTicks: [0, 0.5, 1], height: 160 });
  const flat = makePlot("JSD as the fake\u2019s centre moves (dashed: log 2)", { x: [-6, 6], y: [0, 0.75],
    xTicks: [-6, -3, 0, 3, 6], xLabel: "centre of the fake", yTicks: [0, 0.2, 0.4, 0.6], height: 180 });
  const grows = makePlot("W1 as the fake\u2019s centre moves", { x: [-6, 6], y: [0, 12], xTicks: [-6, -3, 0, 3, 6],
    xLabel: "centre of the fake", yTicks: [0, 3, 6, 9, 12], height: 180 });

  const [real, fake, best] = [line("a"), line("b", "7 4"), line("c")];
  real.setAttribute("fill", "color-mix(in srgb, var(--a) 16%, transparent)");
  fake.setAttribute("fill", "color-mix(in srgb, var(--b) 16%, transparent)");
  const handles = [marker("a", "round"), marker("b", "square")];
  top.layer.append(real, fake, ...handles);
  below.layer.append(dashed(below, 0.5), best);
  const [jsdLine, w1Line] = [line("c"), line("d", "9 3 2 3")];
  const spots = [marker("c", "round"), marker("d", "square")];
  flat.layer.append(dashed(flat, LOG2), jsdLine, spots[0]);
  grows.layer.append(w1Line, spots[1]);
  const readings = makeReadings(["JSD", "W1", "value of the game 2 JSD \u2212 log 4 =", "KL(real\u2016fake)",
    "KL(fake\u2016real)"]);

  let held = "fake";
  hold(top.svg, (event) => {
    const [x] = top.at(event);
    held = Math.abs(x - desk.get("real_centre")) < Math.abs(x - desk.get("fake_centre")) ? "real" : "fake";
  }, (event) => {
    desk.set({ [`${held}_centre`]: Math.round(clamp(top.at(event)[0], -6, 6) * 20) / 20 });
  });

  const side = (name, words, look) => {
    const legend = make("legend", {}, look, words);
    return make("fieldset", {}, legend,
      makeSelect(desk, { key: `${name}_law`, label: "law", called: `${words}: law`, options: LAW_NAMES }),
      makeSlider(desk, { key: `${name}_centre`, label: "centre", called: `${words}: centre`, min: -6, max: 6,
        step: 0.05 }),
      makeSlider(desk, { key: `${name}_width`, label: "width", called: `${words}: width (standard deviation)`,
        min: 0.5, max: 3, step: 0.05 }));
  };
  root.append(make("p", { className: "title" }, title),
    make("div", { className: "stage" }, make("div", {}, top.node, below.node), make("div", {}, flat.node, grows.node)),
    readings.list,
    make("div", { className: "controls" }, side("real", "real, p", key("a", "", "round")),
      side("fake", "fake, q", key("b", "7 4", "square"))));

  let drawn = ""; // the two curves depend on everything but the fake's centre
  const curves = (p, q) => {
    const now = JSON.stringify([p, q.law, q.width]);
    if (now === drawn) return;
    drawn = now;
    const along = grid(-6, 6, 60).map((centre) => [centre, compare(p, { ...q, centre }, 0.1)]);
    jsdLine.setAttribute("d", flat.path(along.map(([c, { jsd }]) => [c, jsd])));
    w1Line.setAttribute("d", grows.path(along.map(([c, { w1 }]) => [c, w1])));
  };
  desk.onShow(() => {
    const [p, q] = [law("real"), law("fake")];
    const { jsd, w1, pq, qp, value } = compare(p, q);
    const shape = (one) => top.path([[-8, 0], ...xs.map((x) => [x, Math.exp(logDensity(one, x))]), [8, 0]]);
    real.setAttribute("d", shape(p));
    fake.setAttribute("d", shape(q));
    best.setAttribute("d", below.path(xs.map((x) => [x, bestD(p, q, x)])));
    put(handles[0], top.x(p.centre), top.y(0) - 6);
    put(handles[1], top.x(q.centre), top.y(0) - 6);
    curves(p, q);
    put(spots[0], flat.x(q.centre), flat.y(jsd));
    put(spots[1], grows.x(q.centre), grows.y(w1));
    readings.fill([places(jsd, 3), places(w1), places(value, 3), places(pq), places(qp)]);
    const at = (one) => `${LAW_NAMES[one.law]} at ${places(one.centre)}, width ${places(one.width)}`;
    top.svg.setAttribute("aria-label", `Two densities. Real: ${at(p)}. Fake: ${at(q)}.`);
    below.svg.setAttribute("aria-label", `The best discriminator, ${places(bestD(p, q, p.centre))} at the real centre `
      + `and ${places(bestD(p, q, q.centre))} at the fake one.`);
    flat.svg.setAttribute("aria-label", `Jensen-Shannon divergence, now ${places(jsd, 3)}; it never passes 0.693.`);
    grows.svg.setAttribute("aria-label", `Wasserstein distance, now ${places(w1)}; it grows with the distance.`);
    desk.summary(`Real: ${at(p)}; fake: ${at(q)}. JSD ${places(jsd, 3)} of at most 0.693, W1 ${places(w1)}.`);
  });
  desk.show();
  return desk.close;
}

// ------------------------------------------------------------------------------ demonstration: the logit

function renderLogit({ model, el, title }) {
  const root = frame(el, "gan-game", title, CSS);
  const desk = makeDesk(model, ["logit"], root);
  const [span, ls] = [[-10, 10], grid(-10, 10, 200)];
  const ticks = [-10, -5, 0, 5, 10];
  const left = makePlot("What G minimises", { x: span, y: [-10.5, 10.5], xTicks: ticks, yTicks: [-10, -5, 0, 5, 10],
    xLabel: "logit that D gives to the fake", yWords: (v) => places(v, 0), height: 230 });
  const right = makePlot("The slope: how hard G is pulled", { x: span, y: [-1.12, 0.12], xTicks: ticks,
    yTicks: [-1, -0.5, 0], xLabel: "logit that D gives to the fake", yWords: (v) => places(v, 1), height: 230 });
  const looks = [["a", "", "round"], ["b", "7 4", "square"]]; // minimax, non-saturating
  const names = ["minimax", "nonSaturating"];
  const spots = [[], []];
  names.forEach((name, i) => {
    for (const [plot, what] of [[left, name], [right, `${name}Slope`]]) {
      const curve = line(looks[i][0], looks[i][1]);
      curve.setAttribute("d", plot.path(ls.map((l) => [l, losses(l)[what]])));
      plot.layer.append(curve);
    }
  });
  const tangents = looks.map(([colour]) => line(colour, "", 1.6));
  const needles = [left, right].map(() => draw("line", { y1: 0, y2: 999, stroke: "var(--ink)", "stroke-width": 1.2 }));
  left.layer.append(...tangents, needles[0]);
  right.layer.append(dashed(right, 0), needles[1]);
  looks.forEach(([colour, , shape], i) => {
    for (const plot of [left, right]) {
      spots[i].push(marker(colour, shape));
      plot.layer.append(spots[i].at(-1));
    }
  });
  for (const plot of [left, right]) {
    hold(plot.svg, () => {}, (event) => desk.set({ logit: Math.round(clamp(plot.at(event)[0], -10, 10) * 10) / 10 }));
  }
  const legend = make("ul", { className: "readings" },
    make("li", {}, key(...looks[0]), " minimax, log(1 \u2212 \u03c3(l))"),
    make("li", {}, key(...looks[1]), " non-saturating, \u2212log \u03c3(l)"));
  for (const svg of legend.querySelectorAll("svg")) svg.style.cssText = "width: 1.9em; height: .8em";
  const readings = makeReadings(["D says real with probability", "minimax slope", "non-saturating slope",
    "ratio of the pulls"]);
  const verdict = make("p", { className: "verdict soft" });
  root.append(make("p", { className: "title" }, title), legend,
    make("div", { className: "stage" }, make("div", {}, left.node), make("div", {}, right.node)),
    make("div", { className: "controls" }, makeSlider(desk, { key: "logit", label: "logit", min: -10, max: 10,
      step: 0.1, digits: 1, called: "logit that D gives to the fake" })),
    readings.list, verdict);

  const short = (v) => (Math.abs(v) >= 0.001 || v === 0 ? places(v, 3) : v.toExponential(1).replaceAll("-", "\u2212"));
  desk.onShow(() => {
    const l = desk.get("logit");
    const now = losses(l);
    names.forEach((name, i) => {
      const [height, slope] = [now[name], now[`${name}Slope`]];
      put(spots[i][0], left.x(l), left.y(height));
      put(spots[i][1], right.x(l), right.y(slope));
      tangents[i].setAttribute("d", left.path([[l - 3, height - 3 * slope], [l + 3, height + 3 * slope]]));
    });
    put(needles[0], left.x(l), 0);
    put(needles[1], right.x(l), 0);
    const ratio = now.ratio >= 100 ? Math.round(now.ratio).toLocaleString("en")
      : places(now.ratio, now.ratio < 1 ? 4 : 2);
    readings.fill([short(now.probability), short(now.minimaxSlope), short(now.nonSaturatingSlope), ratio]);
    const words = Math.abs(l) < 0.05 ? "D cannot tell: both pull alike."
      : l < 0 ? `D is sure of the fake: the non-saturating loss pulls ${ratio} times as hard.`
        : "D takes the fake for real: here the non-saturating loss is the weaker one.";
    verdict.textContent = words;
    left.svg.setAttribute("aria-label", `Both losses of G against the logit. At ${places(l, 1)}: minimax `
      + `${places(now.minimax)}, non-saturating ${places(now.nonSaturating)}.`);
    right.svg.setAttribute("aria-label", `Both slopes against the logit. At ${places(l, 1)}: minimax `
      + `${short(now.minimaxSlope)}, non-saturating ${short(now.nonSaturatingSlope)}.`);
    desk.summary(`Logit ${places(l, 1)}. ${words}`);
  });
  desk.show();
  return desk.close;
}

// ------------------------------------------------------------------------------ demonstration: the Dirac-GAN

const DIRAC_KEYS = ["game", "order", "lr", "r1_gamma", "theta", "psi", "steps"];
const LONGEST = 500;

function renderDirac({ model, el, title }) {
  const root = frame(el, "gan-game", title, CSS);
  const desk = makeDesk(model, DIRAC_KEYS, root);
  const settings = () => Object.fromEntries(["game", "order", "lr", "r1_gamma"].map((name) => [name, desk.get(name)]));
  const ticks = [-2, -1, 0, 1, 2];
  const plane = makePlot("\u03b8 and \u03c8, step by step: take the start and move it", { x: [-2.4, 2.4],
    y: [-2.4, 2.4], xTicks: ticks, yTicks: ticks, yWords: (v) => places(v, 0),
    xLabel: "\u03b8, the fake (across) and \u03c8, the slope of D (up)", width: 360, height: 348 });
  const far = makePlot("Distance from rest (dashed: the eigenvalue\u2019s prediction)", { x: [0, LONGEST],
    y: [1e-3, 30], xTicks: [0, 100, 200, 300, 400, 500], yTicks: [0.001, 0.01, 0.1, 1, 10],
    xLabel: "step", log: true, height: 230 });
  const arrows = draw("path", { fill: "none", stroke: "var(--line)", "stroke-width": 1.3 });
  const trail = line("a", "", 1.8);
  const [begin, here] = [marker("b", "square"), marker("a", "round")];
  const rest = draw("path", { d: "M-6 0h12M0-6v12", stroke: "var(--ink)", "stroke-width": 2 });
  put(rest, plane.x(0), plane.y(0));
  plane.layer.append(arrows, trail, rest, begin, here);
  const [told, seen, spot] = [line("ink", "4 4", 1.4), line("a"), marker("a", "round")];
  far.layer.append(told, seen, spot);
  const readings = makeReadings(["now \u03b8", "\u03c8", "distance", "|eigenvalue|"]);
  const verdict = make("p", { className: "verdict" });
  const play = make("button", { type: "button" });

  plane.svg.classList.add("plane");
  hold(plane.svg, () => desk.touched(), (event) => {
    const [theta, psi] = plane.at(event).map((v) => Math.round(clamp(v, -2, 2) * 20) / 20);
    desk.set({ theta, psi });
  });
  root.append(make("p", { className: "title" }, title),
    make("div", { className: "stage" }, make("div", {}, plane.node), make("div", {}, far.node, readings.list, verdict)),
    make("div", { className: "controls" },
      makeSlider(desk, { key: "steps", label: "steps", min: 0, max: LONGEST, step: 1, digits: 0 }),
      make("div", { className: "control" }, play),
      makeSelect(desk, { key: "game", label: "loss of G", options: Object.fromEntries(
        Object.entries(GAMES).map(([value, { name }]) => [value, name])) }),
      makeSelect(desk, { key: "order", label: "updates", options: { simultaneous: "both at once",
        alternating: "D, then G" } }),
      makeSlider(desk, { key: "r1_gamma", label: "R1 \u03b3", called: "R1 penalty, gamma", min: 0, max: 3,
        step: 0.05 }),
      makeSlider(desk, { key: "lr", label: "step size", min: 0.02, max: 0.5, step: 0.02 }),
      makeSlider(desk, { key: "theta", label: "start \u03b8", called: "start, theta", min: -2, max: 2, step: 0.05 }),
      makeSlider(desk, { key: "psi", label: "start \u03c8", called: "start, psi", min: -2, max: 2, step: 0.05 })));

  // Playing starts only when asked; a reader who wants less motion gets larger, fewer moves.
  let timer = null;
  const nameButton = () => { play.textContent = timer ? "\u275a\u275a Pause" : "\u25b6 Play"; };
  const stop = () => { clearInterval(timer); timer = null; nameButton(); };
  desk.touched = stop;
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (desk.get("steps") === LONGEST) desk.set({ steps: 0 });
    const [pause, stride] = prefersCalm() ? [1000, 50] : [30, 2];
    timer = setInterval(() => {
      const steps = Math.min(LONGEST, desk.get("steps") + stride);
      desk.set({ steps });
      if (steps === LONGEST) stop();
    }, pause);
    nameButton();
  });

  const field = () => { // an arrow at each place: where one small step at once would go
    const small = { ...settings(), order: "simultaneous", lr: 1 };
    let out = "";
    for (const theta of grid(-2.2, 2.2, 11)) {
      for (const psi of grid(-2.2, 2.2, 11)) {
        const to = diracStep([theta, psi], small);
        const [u, v] = [to[0] - theta, to[1] - psi];
        const size = Math.hypot(u, v) || 1;
        const long = 13 * Math.sqrt(Math.min(size, 2) / 2); // of the plot's units; the root shows weak ones too
        const [dx, dy] = [(u / size) * long, -(v / size) * long];
        const [x, y] = [plane.x(theta) + dx / 2, plane.y(psi) + dy / 2];
        const wing = (turn) => `M${x.toFixed(1)} ${y.toFixed(1)}l${(-0.35 * (dx + turn * dy)).toFixed(1)} ${
          (-0.35 * (dy - turn * dx)).toFixed(1)}`;
        out += `M${(x - dx).toFixed(1)} ${(y - dy).toFixed(1)}l${dx.toFixed(1)} ${dy.toFixed(1)}`;
        out += wing(0.7) + wing(-0.7);
      }
    }
    arrows.setAttribute("d", out);
  };
  let drawn = "";
  let states = [];
  desk.onShow(() => {
    const start = [desk.get("theta"), desk.get("psi")];
    const now = JSON.stringify([settings(), start]);
    const { modulus } = diracEigenvalue(settings());
    if (now !== drawn) {
      drawn = now;
      states = diracRun(start, settings(), LONGEST);
      field();
      const radius = Math.hypot(...start);
      told.setAttribute("d", far.path(grid(0, LONGEST, 100).map((n) => [n, radius * modulus ** n])));
    }
    const n = Math.min(desk.get("steps"), states.length - 1);
    const [theta, psi] = states[n];
    trail.setAttribute("d", plane.path(states.slice(0, n + 1)));
    seen.setAttribute("d", far.path(states.slice(0, n + 1).map((state, i) => [i, Math.hypot(...state)])));
    put(begin, plane.x(start[0]), plane.y(start[1]));
    put(here, plane.x(theta), plane.y(psi));
    const radius = Math.hypot(theta, psi);
    put(spot, far.x(n), far.y(Math.max(radius, 1e-9)));
    const short = (v) => (Math.abs(v) >= 0.01 || v === 0 ? Math.abs(v) < 1e4 ? places(v, 3) : v.toExponential(1)
      : v.toExponential(1).replaceAll("-", "\u2212"));
    readings.fill([short(theta), short(psi), short(radius), places(modulus, 4)]);
    const words = modulus > 1 + 1e-9 ? "Above 1: close to rest every step leads away."
      : modulus < 1 - 1e-9 ? `Below 1: it comes to rest, and the distance halves every ${
        Math.max(1, Math.round(Math.log(0.5) / Math.log(modulus)))} steps.`
        : "Exactly 1: the linear picture says \u201cround and round\u201d, and cannot say more.";
    verdict.textContent = words;
    plane.svg.setAttribute("aria-label", `The plane of theta and psi with the vector field. Start ${places(start[0])}, `
      + `${places(start[1])}; after ${n} steps ${short(theta)}, ${short(psi)}.`);
    far.svg.setAttribute("aria-label", `Distance from rest against the step: ${short(Math.hypot(...start))} at the `
      + `start, ${short(radius)} after ${n} steps.`);
    desk.summary(`After ${n} steps ${short(radius)} from rest. Eigenvalue of modulus ${places(modulus, 4)}. ${words}`);
  });
  nameButton();
  desk.show();
  return () => { stop(); desk.close(); };
}

const DEMOS = { densities: renderDensities, logit: renderLogit, dirac: renderDirac };

function render({ model, el }) {
  const { kind, title } = model.get("data");
  return DEMOS[kind]({ model, el, title });
}

export default { render };
