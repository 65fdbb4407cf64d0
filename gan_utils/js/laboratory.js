// The laboratory: GANs on the line and in the plane that train in the reader's own page.
// gan.js holds the arithmetic, board.js and networks.js the pictures. Here: the driver that runs it (in a worker where
// the host allows one), the address that carries a set-up, and the page.
import { MOST_POINTS, REACH, WIDE, paintLine, paintPlane, px } from "./board.js";
import { draw, frame, make, perFrame, prefersCalm, throttled } from "./common.js";
import { KERNEL, isKept, makeLaw, makeRun, normals, sampleLaw, uniforms } from "./gan.js";
import { NETWORKS_CSS, makeNetworks, makeUnfolder, mapNetworks, placeCodes, readFile, unfoldFrame,
  writeFile } from "./networks.js";

// ------------------------------------------------------------------------------------------ the driver

/** D's answers on an even grid. D of packs is shown with partners from among the fakes, as the mean over four of them. */
export function judgePlane({ settings, law, judge }, fakes) {
  const { dim } = law;
  const { packing } = settings;
  const reach = dim === 1 ? 4 : 1.6;
  const side = dim === 1 ? 161 : 33;
  const place = (k) => -reach + (2 * reach * k) / (side - 1);
  const partners = packing > 1 ? [0, 1, 2, 3] : [0];
  const points = new Float64Array(side ** dim * partners.length * packing * dim);
  let at = 0;
  for (let p = 0; p < side ** dim; p++) {
    for (const partner of partners) {
      if (dim === 2) points[at++] = place(p % side);
      points[at++] = dim === 2 ? -place(Math.floor(p / side)) : place(p); // rows from the top
      for (let i = 0; i < (packing - 1) * dim; i++) points[at++] = fakes[partner * dim + i];
    }
  }
  const surface = new Float32Array(side ** dim);
  judge(points, side ** dim * partners.length).forEach((answer, k) => {
    surface[Math.floor(k / partners.length)] += answer / partners.length;
  });
  return surface;
}

/** The net of noise: codes along lines of the first two numbers, the others at 0; 41 codes a line. */
export function webCodes({ noise, latent_dim: latent }) {
  const far = noise === "uniform" ? 1 : 2.2;
  const turns = latent === 1 ? [0] : [-1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 1];
  const codes = [];
  for (const across of latent === 1 ? [true] : [true, false]) {
    for (const turn of turns) {
      for (let k = 0; k <= 40; k++) {
        const pair = [far * (k / 20 - 1), far * turn];
        const code = Array(latent).fill(0);
        [code[0], code[1]] = across || latent === 1 ? pair : [pair[1], pair[0]];
        codes.push(...code.slice(0, latent));
      }
    }
  }
  return Float64Array.from(codes);
}

/**
 * Everything that a picture of the run needs: fakes, and as asked for the pull on the first of them, D's answers,
 * the net of noise, where both lie before G has moved them, and the networks.
 */
export function portray(run, layers) {
  const { gan, meter } = run;
  const { latent_dim: latent, noise } = gan.settings;
  const { dim } = gan.law;
  const codes = meter.z.subarray(0, 400 * latent);
  const picture = { fakes: Float32Array.from(gan.generate(codes, 400)) };
  if (layers.pull) picture.pull = Float32Array.from(gan.pulls(meter.few).pull);
  if (layers.surface) picture.surface = judgePlane(gan, picture.fakes);
  const web = layers.web && dim === 2 ? webCodes(gan.settings) : null;
  if (web) picture.web = Float32Array.from(gan.generate(web, web.length / latent));
  if (layers.start) {
    picture.start = { fakes: placeCodes(codes, latent, dim, noise), web: web && placeCodes(web, latent, dim, noise) };
  }
  if (layers.nets) picture.nets = mapNetworks(gan, picture.fakes);
  return picture;
}

/** All that a worker needs to hear for that. */
const PORTRAIT = [judgePlane, webCodes, placeCodes, mapNetworks, portray];

/**
 * Trains on request and answers with frames: start, run, pause, one (update of D or G), look. It works in slices
 * of `slice` milliseconds and rests when nobody has looked for a while.
 */
export function makeDriver(post, slice) {
  let [run, id, pace, wanted, looked, asleep] = [null, 0, null, null, 0, false];
  let [losses, measures] = [[], []];
  const bell = new MessageChannel(); // rings at once, where a timer would wait 4 ms
  bell.port1.onmessage = () => work();
  let called = false; // one call of work at a time is under way
  function callWork(ms = 0) {
    if (called) return;
    called = true;
    if (ms) setTimeout(work, ms);
    else bell.port2.postMessage(0);
  }

  const measure = () => { if (measures.at(-1)?.step !== run.steps || !pace) measures.push(run.measure()); };
  const isDue = (steps) => steps % (steps <= 200 ? 10 : steps <= 2000 ? 50 : 100) === 0;
  function record() {
    const { d_loss, g_loss } = run.losses;
    losses.push([run.steps, d_loss, g_loss]);
    const broken = [d_loss, g_loss].some((v) => v !== null && !Number.isFinite(v));
    if (broken) pace = null;
    run.broken ||= broken;
  }
  function answer() {
    if (!wanted || !run) return;
    const state = { steps: run.steps, d_updates: run.d_updates, g_updates: run.g_updates };
    post({ kind: "frame", id, ...state, running: pace !== null, broken: run.broken ?? false, losses, measures,
      ...portray(run, wanted) });
    [wanted, losses, measures] = [null, [], []];
  }
  function work() {
    called = false;
    if (!pace) return;
    const begun = performance.now();
    if (begun - looked > 2000) {
      asleep = true;
      return;
    }
    if (begun - pace.since > 250 && pace.rate < Infinity) Object.assign(pace, { since: begun, done: 0 });
    const due = pace.rate === Infinity ? Infinity : Math.ceil(((begun - pace.since) * pace.rate) / 1000);
    while (pace && pace.done < due && performance.now() - begun < slice) {
      run.step();
      pace.done += 1;
      record();
      if (isDue(run.steps)) measure();
      if (run.steps === pace?.until) pace = null;
    }
    if (!pace) measure();
    answer();
    if (!pace) return;
    callWork(pace.done < due ? 0 : Math.max(4, Math.min(60, 1000 / pace.rate)));
  }
  const tasks = {
    start(message) {
      [id, pace, losses, measures] = [message.id, null, [], []];
      run = makeRun(message.settings, message.drawn, message.kept);
      measure();
      post({ kind: "started", id, floor: run.meter.floor, chance: run.gan.chance });
      answer();
    },
    run(message) {
      pace = { rate: message.rate ?? Infinity, until: message.until, since: performance.now(), done: 0 };
      looked = performance.now();
      callWork();
    },
    pause() {
      pace = null;
      measure();
      answer(); // somebody may be waiting, and nobody works any more
    },
    keep() {
      post({ kind: "kept", id, ...run.keep() });
    },
    one({ who, times }) {
      for (let k = 0; k < times; k++) run[who]();
      if (who === "g") run.steps += 1;
      record();
      measure();
    },
    look(message) {
      wanted = message.layers;
      looked = performance.now();
      if (asleep && pace) {
        asleep = false;
        Object.assign(pace, { since: looked, done: 0 });
        callWork();
      } else if (!pace) answer();
    },
  };
  return (message) => {
    if (message.kind === "start" || run) tasks[message.kind](message);
  };
}

/** The text of a worker: the same functions, by their own source. */
export const workerText = () => `${[...KERNEL, ...PORTRAIT, makeDriver].map(String).join("\n")}
const drive = makeDriver((message) => postMessage(message), 40);
onmessage = (event) => drive(event.data);
postMessage({ kind: "ready" });`;

/** A driver in a worker; where none may start, on this page, in slices short enough to stay responsive. */
function connect(receive) {
  let [worker, send, waiting] = [null, null, []];
  const deliver = (fn) => {
    send = fn;
    waiting.splice(0).forEach(fn);
  };
  function fallBack() {
    if (send) return;
    worker?.terminate();
    worker = null;
    deliver(makeDriver((message) => queueMicrotask(() => receive(message)), 8));
  }
  try {
    worker = new Worker(URL.createObjectURL(new Blob([workerText()], { type: "text/javascript" })));
    worker.onerror = (event) => {
      event.preventDefault();
      fallBack();
    };
    worker.onmessage = ({ data }) => {
      if (data.kind === "ready") deliver((message) => worker.postMessage(message));
      else receive(data);
    };
    setTimeout(fallBack, 4000);
  } catch {
    fallBack();
  }
  return {
    send: (message) => (send ? send(message) : waiting.push(message)),
    inWorker: () => worker !== null && send !== null,
    close: () => worker?.terminate(),
  };
}

// ------------------------------------------------------------------------------- settings and addresses

export const defaultSettings = (fields) => ({ seed: 0, ...Object.fromEntries(fields.map((f) => [f.key, f.default])) });

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** Points of the plane as text, a letter for each coordinate, and back. */
export const writePoints = (points) => points.flat().map((v) =>
  LETTERS[Math.min(63, Math.max(0, Math.round(((v + REACH) / (2 * REACH)) * 63)))]).join("");
export const readPoints = (text) => Array.from({ length: Math.min(MOST_POINTS, text.length >> 1) }, (_, k) =>
  [text[2 * k], text[2 * k + 1]].map((letter) => (LETTERS.indexOf(letter) / 63) * 2 * REACH - REACH));

/** What follows # in an address: the settings that are not the usual ones. */
export function writeAddress(settings, drawn, fields) {
  const usual = defaultSettings(fields);
  const parts = Object.keys(usual).filter((key) => settings[key] !== usual[key]).map((key) => `${key}=${settings[key]}`);
  if (settings.data === "drawn" && drawn.length) parts.push(`points=${writePoints(drawn)}`);
  return ["lab", ...parts].join("&");
}

/** The set-up in an address, or null: `lab-NAME` is a preset's, `lab&key=value...` anyone's. What is not known is ignored. */
export function readAddress(hash, fields, presets) {
  const text = hash.replace(/^#/, "");
  const usual = defaultSettings(fields);
  const preset = presets.find(({ name }) => text === `lab-${name}`);
  if (preset) return { settings: { ...usual, ...preset.settings }, drawn: [] };
  if (text !== "lab" && !text.startsWith("lab&")) return null;
  const given = new URLSearchParams(text.slice(4));
  const settings = { ...usual };
  for (const { key, choices } of fields) {
    const choice = choices.find(([value]) => String(value) === given.get(key));
    if (choice) [settings[key]] = choice;
  }
  const seed = Number(given.get("seed"));
  if (Number.isInteger(seed) && seed >= 0 && seed < 1e6) settings.seed = seed;
  return { settings, drawn: readPoints((given.get("points") ?? "").replace(/[^\w-]/g, "")) };
}

/** The preset with these settings (any seed), if there is one. */
export const findPreset = (settings, fields, presets) => presets.find((preset) => {
  const wanted = { ...defaultSettings(fields), ...preset.settings, seed: settings.seed };
  return Object.keys(wanted).every((key) => wanted[key] === settings[key]);
});

// --------------------------------------------------------------------------------------------- words

export function short(v) {
  if (v === null || v === undefined || Number.isNaN(v)) return "\u2013";
  const size = Math.abs(v);
  if (size >= 1e4 || (size < 1e-3 && size > 0)) return v.toExponential(0).replace("e+", "e").replaceAll("-", "\u2212");
  return v.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.1 || size === 0 ? 2 : 3).replace("-", "\u2212");
}
const percent = (share) => `${(100 * share).toFixed(0)} %`;
const count = (n) => n.toLocaleString("en");

const METRICS = {
  modes: (v, law) => `${v} of ${law.centres.length} modes`,
  quality: (v) => `${percent(v)} of high quality`,
  w1: (v) => `a distance of ${short(v)}`,
  pull: (v) => `a mean pull of ${short(v)}`,
  swings: (v) => `${v} ${v === 1 ? "swing" : "swings"} of the mean`,
};

/** "at most 4 of 8 modes, at least 60 % of high quality". */
export const promiseInWords = (promise, law) => promise.map(({ metric, least, most }) => [
  least !== undefined ? `at least ${METRICS[metric](least, law)}` : "",
  most !== undefined ? `at most ${METRICS[metric](most, law)}` : ""].filter(Boolean).join(" and ")).join(", ");

const inWords = (promise, measured, law) => promise.map(({ metric }) => METRICS[metric](measured[metric], law)).join(", ");

// ------------------------------------------------------------------------------------------- the page

const CSS = `
.gan-laboratory { max-width: 68rem; container-type: inline-size; }
.gan-laboratory .start { display: grid; grid-template-columns: auto 1fr; gap: .4rem .8rem; align-items: center;
  margin-bottom: .8rem; }
.gan-laboratory .start > p { grid-column: 1 / -1; }
.gan-laboratory .start > label { grid-column: 1 / -1; display: flex; flex-wrap: wrap; gap: .3rem .7rem; align-items: center;
  font-weight: 650; margin: 0; }
.gan-laboratory .stage { display: grid; grid-template-columns: minmax(0, 1fr); gap: 1rem 1.4rem; }
@container (min-width: 42rem) { .gan-laboratory .stage { grid-template-columns: minmax(0, 1.15fr) minmax(0, 1fr); } }
.gan-laboratory .board { position: relative; }
.gan-laboratory .board canvas { display: block; width: 100%; border-radius: .5rem; border: 1px solid var(--line); }
.gan-laboratory .board canvas.drawable { cursor: crosshair; touch-action: none; }
.gan-laboratory .hint { position: absolute; inset: auto .6rem .5rem; padding: .15rem .5rem; border-radius: .4rem;
  background: var(--paper); font-size: .85em; pointer-events: none; }
.gan-laboratory .transport { margin-bottom: .6rem; }
.gan-laboratory .transport .play { min-width: 6.2rem; font-weight: 650; color: var(--paper); background: var(--a);
  border-color: var(--a); }
.gan-laboratory .transport label { display: flex; gap: .4rem; align-items: center; font-size: .92em; }
.gan-laboratory .where { margin-top: .45rem; font-variant-numeric: tabular-nums; font-size: .92em; }
.gan-laboratory .layers { display: flex; flex-wrap: wrap; gap: .1rem 1rem; margin: .5rem 0 0; padding: 0; }
.gan-laboratory .layers label { display: flex; gap: .35rem; align-items: center; min-height: 1.75rem; font-size: .9em;
  cursor: pointer; margin: 0; }
.gan-laboratory .layers input { width: 1.05rem; height: 1.05rem; margin: 0; accent-color: var(--a); }
.gan-laboratory .layers svg { width: 1.35rem; height: 1.1rem; }
.gan-laboratory .flow { display: flex; flex-wrap: wrap; gap: .3rem; align-items: center; margin: 0 0 .35rem; padding: 0;
  list-style: none; font-size: .85em; }
.gan-laboratory .flow li { margin: 0; padding: .1rem .5rem; border: 1.5px solid var(--line); border-radius: .45rem; }
.gan-laboratory .flow li.way { border: 0; padding: 0; color: var(--soft); }
.gan-laboratory .flow li.on { border-color: var(--a); background: var(--a); color: var(--paper); }
.gan-laboratory .phase { min-height: 2.9em; font-size: .92em; margin-bottom: .5rem; }
.gan-laboratory .tiles { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: .5rem; margin: 0 0 .6rem; }
.gan-laboratory .tiles > div { background: var(--wash); border-radius: .5rem; padding: .35rem .6rem; min-width: 0; }
.gan-demo.gan-laboratory .tiles dt { font-size: .8em; font-weight: 400; color: var(--soft); line-height: 1.25; margin: 0; }
.gan-demo.gan-laboratory .tiles > div > dd { margin: 0; font-size: 1.2rem; font-weight: 650; font-variant-numeric: tabular-nums; }
.gan-laboratory .tiles small { display: block; font-size: .72rem; font-weight: 400; color: var(--soft); line-height: 1.3; }
.gan-laboratory .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(17rem, 100%), 1fr)); gap: .5rem 1.2rem; }
.gan-demo.gan-laboratory figure { margin: 0; padding: 0; min-width: 0; }
.gan-demo.gan-laboratory figcaption { font: inherit; font-size: .85em; padding: 0; display: flex; flex-wrap: wrap; gap: 0 .9rem; margin: 0; padding: 0;
  color: var(--ink); font-style: normal; text-align: left; }
.gan-laboratory figcaption b { font-weight: 650; }
.gan-laboratory figcaption span { font: inherit; }
.gan-laboratory figcaption span svg { width: 1.8rem; height: .6rem; margin-right: .3rem; vertical-align: middle; }
.gan-laboratory figure > svg { display: block; width: 100%; height: auto; }
.gan-laboratory .verdict { border-left: 4px solid var(--line); padding: .1rem 0 .1rem .7rem; margin: .1rem 0; }
.gan-laboratory .verdict.kept { border-color: var(--c); }
.gan-laboratory .verdict.missed { border-color: var(--b); }
.gan-laboratory .cures { grid-column: 1 / -1; }
.gan-laboratory .cures:empty { display: none; }
.gan-laboratory .setup { border: 0; border-top: 1px solid var(--line); border-radius: 0; margin: 1rem 0 0; padding: .2rem 0 0; }
.gan-laboratory .setup > summary { cursor: pointer; padding: .4rem .2rem; margin: 0; font-weight: 650; }
.gan-laboratory .groups { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(15rem, 100%), 1fr)); gap: .6rem 1.4rem; }
.gan-laboratory fieldset { border: 0; margin: 0; padding: 0; min-width: 0; }
.gan-laboratory legend { float: none; width: auto; padding: 0; margin: .2rem 0; font-size: .92em; font-weight: 650;
  color: var(--soft); }
.gan-laboratory .field { display: grid; grid-template-columns: 1fr minmax(6.5rem, auto); gap: .5rem; align-items: center;
  margin: .2rem 0; font-size: .9em; }
.gan-laboratory .field[hidden] { display: none; }
.gan-laboratory .field select, .gan-laboratory .field input { min-width: 0; max-width: 11rem; width: 100%; }
.gan-laboratory input[type=number] { font: inherit; font-size: .92em; color: var(--ink); background: var(--wash);
  border: 1px solid var(--line); border-radius: .5rem; min-height: 2.1rem; padding: .2rem .5rem; }
.gan-laboratory select { max-width: 100%; text-overflow: ellipsis; }
.gan-laboratory .bar { margin-top: .7rem; }
.gan-laboratory .row > * { width: auto; max-width: 100%; margin: 0; flex: none; }
.gan-laboratory .row > label, .gan-laboratory .row > div, .gan-laboratory .row > span { padding: 0; }
.gan-laboratory .told { font-size: .87em; overflow-wrap: anywhere; }
`;

const SPEEDS = [["slow", "slow motion"], [20, "20 steps a second"], [200, "200 steps a second"], ["", "as fast as it can"]];
const PHASES = [
  { on: ["z", "G", "fakes", "x"], say: "D\u2019s turn. G makes fakes of new noise, and as many data are drawn.",
    net: { who: "G", way: 1, say: "answers" } },
  { on: ["fakes", "x", "D"], say: "D looks at both. Its answer is the colour behind them, blue for real; on the line, the dashed curve.",
    net: { who: "D", way: 1, say: "answers" } },
  { on: ["D"], say: "D\u2019s loss counts its mistakes, and D takes one step down it. G stays as it is.", act: "d",
    net: { who: "D", way: -1, say: "is updated" } },
  { on: ["z", "G", "fakes"], say: "G\u2019s turn. New noise, new fakes; the data are not asked.",
    net: { who: "G", way: 1, say: "answers" } },
  { on: ["fakes", "D"], say: "D tells each fake which way it would look more real: the arrows, minus the slope of G\u2019s loss.",
    net: { who: "D", way: -1, say: "passes slopes back" } },
  { on: ["G"], say: "G takes one step that moves its fakes along the arrows. D stays as it is.", act: "g",
    net: { who: "G", way: -1, say: "is updated" } },
];

/** A triangle, a ring... : what stands for whom, in the picture and in its key. */
function glyph(kind) {
  const shapes = {
    real: [draw("circle", { cx: 12, cy: 9, r: 5, fill: "none", stroke: "var(--a)", "stroke-width": 2.4 })],
    fake: [draw("path", { d: "M12 3 18 14H6z", fill: "var(--b)" })],
    surface: [draw("rect", { x: 2, y: 3, width: 10, height: 12, fill: "var(--b)", opacity: 0.45 }),
      draw("rect", { x: 12, y: 3, width: 10, height: 12, fill: "var(--a)", opacity: 0.45 })],
    pull: [draw("path", { d: "M3 14 17 5M11 4h7v6", fill: "none", stroke: "var(--ink)", "stroke-width": 2 })],
    web: [draw("path", { d: "M3 5Q12 2 21 5M3 13Q12 9 21 13M6 2Q8 9 6 16M17 2Q16 9 18 16", fill: "none",
      stroke: "var(--d)", "stroke-width": 1.6 })],
  };
  return draw("svg", { viewBox: "0 0 24 18", "aria-hidden": true }, ...shapes[kind]);
}

const LINES = [{ colour: "var(--a)", dash: "" }, { colour: "var(--b)", dash: "7 4" }, { colour: "var(--c)", dash: "2 3" }];

/** Up to three curves over steps with dashed levels; y is linear or logarithmic and grows with what it is given. */
function makeChart(title, names, { log = false, range = null } = {}) {
  const [width, height, left, right, top, bottom] = [380, 112, 44, 8, 6, 18];
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
  const text = (words, attributes) => {
    const node = draw("text", { fill: "var(--soft)", "font-size": 11, ...attributes });
    node.textContent = words;
    return node;
  };
  const key = names.map((name, k) => make("span", {}, draw("svg", { viewBox: "0 0 30 8", "aria-hidden": true },
    draw("line", { x1: 0, x2: 30, y1: 4, y2: 4, stroke: LINES[k].colour, "stroke-width": 2.6,
      "stroke-dasharray": LINES[k].dash })), name));
  const body = make("figure", {}, make("figcaption", {}, make("b", {}, title), ...key), svg);
  const fn = log ? (v) => Math.log(Math.max(v, 1e-4)) : (v) => v;

  function update(rows, levels, last, first = 0) {
    const all = [...rows.flatMap(([, ...values]) => values), ...levels.map(({ y }) => y)]
      .filter((v) => v !== null && Number.isFinite(v) && (!log || v > 0)).sort((a, b) => a - b);
    // one wild step in fifty may leave the picture, so that the rest can be seen
    const trim = Math.floor(all.length / 50);
    let [low, high] = range ?? (all.length ? [all[trim], all[all.length - 1 - trim]] : [0, 1]);
    if (!range) for (const { y } of levels) [low, high] = [Math.min(low, y), Math.max(high, y)];
    if (high - low < 1e-9) [low, high] = log ? [low / 2, low * 2] : [low - 0.5, high + 0.5];
    const room = range ? 0 : 0.06 * (fn(high) - fn(low));
    const px = (step) => left + ((width - left - right) * (step - first)) / Math.max(last - first, 1);
    const py = (v) => {
      const y = top + (height - top - bottom) * (1 - (fn(v) - fn(low) + room) / (fn(high) - fn(low) + 2 * room));
      return Math.min(height - bottom, Math.max(top, y));
    };
    const parts = [draw("rect", { x: left, y: top, width: width - left - right, height: height - top - bottom,
      fill: "none", stroke: "var(--line)" }),
    text(short(high), { x: left - 5, y: py(high) + 8, "text-anchor": "end" }),
    text(short(low), { x: left - 5, y: py(low), "text-anchor": "end" }),
    text(count(first), { x: left, y: height - 4, "text-anchor": "middle" }),
    text(`step ${count(Math.max(last, first + 1))}`, { x: width - right, y: height - 4, "text-anchor": "end" })];
    names.forEach((_, k) => {
      const points = rows.filter((row) => row[k + 1] !== null && Number.isFinite(row[k + 1]));
      if (!points.length) return;
      const alone = points[0][0] === points.at(-1)[0]; // of one step: round ends make a dot of it
      if (alone) points.push(points[0]);
      parts.push(draw("polyline", { fill: "none", stroke: LINES[k].colour, "stroke-width": alone ? 6 : 2,
        "stroke-linejoin": "round", "stroke-linecap": "round",
        "stroke-dasharray": alone ? "" : LINES[k].dash,
        points: points.map((row) => `${px(row[0]).toFixed(1)},${py(row[k + 1]).toFixed(1)}`).join(" ") }));
    });
    for (const { y, name } of levels) {
      parts.push(draw("line", { x1: left, x2: width - right, y1: py(y), y2: py(y), stroke: "var(--ink)",
        "stroke-dasharray": "2 3" }), text(name, { x: width - right - 4, y: py(y) + (py(y) < top + 14 ? 11 : -3),
        "text-anchor": "end", fill: "var(--ink)", stroke: "var(--paper)", "stroke-width": 3, "paint-order": "stroke" }));
    }
    svg.replaceChildren(...parts);
    const now = rows.at(-1);
    svg.setAttribute("aria-label", `${title}, up to step ${count(last)}. ${names.map((name, k) =>
      `${name} is ${now ? short(now[k + 1]) : "not known yet"}`).join(", ")}. ${levels.map(({ y, name }) =>
      `${name}: ${short(y)}`).join(", ")}`);
  }
  return { body, update };
}

/** Rows [step, ...values], never more than `most`: when they are full, neighbours become their mean. */
export function makeHistory(most = 400) {
  let [rows, size, open] = [[], 1, []];
  const merge = (group) => group.at(-1).map((last, k) => {
    const known = group.map((row) => row[k]).filter((v) => v !== null);
    return k === 0 || !known.length ? last : known.reduce((a, b) => a + b) / known.length;
  });
  return {
    rows: () => rows,
    add(row) {
      open.push(row);
      if (open.length < size) return;
      rows.push(merge(open));
      open = [];
      if (rows.length < most) return;
      rows = Array.from({ length: most / 2 }, (_, k) => merge([rows[2 * k], rows[2 * k + 1]]));
      size *= 2;
    },
  };
}

const button = (text, onclick, props = {}) => make("button", { type: "button", onclick, ...props }, text);
const select = (choices, onchange, props = {}) => make("select", { onchange, ...props },
  ...choices.map(([value, text]) => make("option", { value: String(value) }, text)));

/** Who hands what to whom, and in words what happens in a phase of slow motion (-1: in none). */
function makeFlow() {
  const stops = [["z", "noise"], null, ["G", "G"], null, ["fakes", "fakes"], null, ["D", "D"], false, ["x", "data"]].map((stop) =>
    (stop ? Object.assign(make("li", {}, stop[1]), { stop: stop[0] })
      : make("li", { className: "way", "aria-hidden": true }, stop === null ? "\u2192" : "\u2190")));
  const text = make("p", { className: "phase soft" });
  return {
    parts: [make("ol", { className: "flow", "aria-label": "Who hands what to whom" }, ...stops), text],
    show(phase) {
      for (const li of stops) li.classList.toggle("on", phase >= 0 && PHASES[phase].on.includes(li.stop));
      text.textContent = phase >= 0 ? PHASES[phase].say
        : "D learns to tell fakes from data; G learns from D\u2019s answers alone. Slow motion shows each turn.";
    },
  };
}

/** The six numbers, each with what to compare it with, and the four charts. */
function makeNumbers() {
  const tile = (name) => {
    const [value, note] = [make("dd"), make("small")];
    return { box: make("div", {}, make("dt", {}, name), value), show: (v, words) => {
      note.textContent = words;
      value.replaceChildren(v, note);
    } };
  };
  const tiles = { modes: tile("Modes kept"), quality: tile("High quality"), w1: tile("Distance W\u2081"),
    jsd: tile("Jensen\u2013Shannon"), pull: tile("Mean pull"), losses: tile("Losses of D, G") };
  const charts = { losses: makeChart("Losses", ["D", "G"]), w1: makeChart("Distance to the data", ["W\u2081"], { log: true }),
    divergences: makeChart("Divergences", ["KL(data\u2016fakes)", "KL(fakes\u2016data)", "JS"], { log: true }),
    share: makeChart("Shares", ["high quality", "modes kept"], { range: [0, 1] }) };
  function show({ law, state, first, started: { floor, chance }, losses, scores, latest: m }) {
    const [, d_loss, g_loss] = losses.rows().at(-1) ?? [0, null, null];
    const chanceOf = (k) => chance?.[k] ?? null;
    const many = law.modes ? `${m.modes} of ${law.centres.length}` : "\u2013";
    tiles.modes.show(many, law.modes ? "a tenth of its share makes a mode" : "this law is of one piece");
    tiles.quality.show(percent(m.quality), `within 3\u03c3; data ${percent(floor.quality)}`);
    tiles.w1.show(short(m.w1), `${law.dim === 1 ? "exact" : "sliced"}; floor ${short(floor.w1)}`);
    tiles.jsd.show(short(m.jsd), `nats, in cells; floor ${short(floor.jsd)}. KL ${short(m.kl)}, reverse ${short(m.reverse_kl)}`);
    tiles.pull.show(short(m.pull), "slope of G\u2019s loss at a fake");
    tiles.losses.show(`${short(d_loss)}, ${short(g_loss)}`, chanceOf(0) === null ? "no chance level"
      : `chance ${short(chanceOf(0))}, ${chanceOf(1) === null ? "none" : short(chanceOf(1))}`);
    const levels = [["chance D", 0], ["chance G", 1]].map(([name, k]) => ({ name, y: chanceOf(k) }))
      .filter(({ y }) => y !== null);
    charts.losses.update(losses.rows(), levels, state.steps, first);
    charts.w1.update(scores.rows().map((r) => [r[0], r[1]]), [{ name: "floor: data against data", y: floor.w1 }], state.steps, first);
    charts.divergences.update(scores.rows().map((r) => [r[0], ...r.slice(4)]), [{ name: "floor of KL", y: floor.kl }],
      state.steps, first);
    charts.share.update(scores.rows().map((r) => [r[0], r[2], law.modes ? r[3] : null]), [], state.steps, first);
  }
  return { parts: [make("dl", { className: "tiles" }, ...Object.values(tiles).map((t) => t.box)),
    make("div", { className: "charts" }, ...Object.values(charts).map((chart) => chart.body))], show };
}

/** Every setting as a control, by groups; below them the buttons that change or share the set-up as a whole. */
function makeSetup({ fields, settings, drawn, set, share, keep, load }) {
  const controls = fields.map((f) => {
    const input = select(f.choices, () => {
      const [value] = f.choices.find(([v]) => String(v) === input.value);
      set({ settings: { ...settings(), [f.key]: value } });
    });
    return { ...f, input, row: make("label", { className: "field" }, f.label, input) };
  });
  const seed = make("input", { type: "number", min: 0, max: 999999, step: 1, onchange: () => {
    const value = Math.min(999999, Math.max(0, Math.round(Number(seed.value) || 0)));
    set({ settings: { ...settings(), seed: value } });
  } });
  const groups = [...new Set(fields.map((f) => f.group))].map((name) => make("fieldset", {}, make("legend", {}, name),
    ...controls.filter((c) => c.group === name).map((c) => c.row),
    ...(name === "The data" ? [make("label", { className: "field" }, "Seed", seed)] : [])));
  const told = make("output", { className: "told" });
  const shareRow = make("div", { className: "row" }, button("Copy the address of this set-up", () => {
    const hash = `#${writeAddress(settings(), drawn(), fields)}`;
    try { history.replaceState(null, "", hash); } catch { /* a frame without an address of its own */ }
    const address = location.href.split("#")[0] + hash;
    const copied = () => { told.textContent = "Copied. Whoever opens it finds this set-up, with this seed."; };
    const shown = () => { told.textContent = address; };
    navigator.clipboard ? navigator.clipboard.writeText(address).then(copied, shown) : shown();
  }), told);
  const files = make("input", { type: "file", accept: ".json,application/json", hidden: true, "aria-label": "Kept networks",
    onchange: async () => {
      const [file] = files.files;
      if (!file) return;
      files.value = ""; // so that the same file can be chosen again
      told.textContent = load(await file.text());
    } });
  const clear = button("Clear the drawing", () => set({ drawn: [] }));
  const body = make("details", { className: "setup hide", open: innerWidth > 700 },
    make("summary", {}, "The set-up: change anything, and it starts again from step 0"),
    make("div", { className: "groups" }, ...groups),
    make("div", { className: "row bar" },
      button("Another seed", () => set({ settings: { ...settings(), seed: (settings().seed + 1) % 1e6 } })),
      clear, button("Keep these networks", keep), button("Load networks", () => files.click()), files,
      ...(share ? [shareRow] : [told])));
  return {
    body,
    show() {
      const now = settings();
      for (const { key, input, row, when } of controls) {
        input.value = String(now[key]);
        row.hidden = Boolean(when) && now[when[0]] !== when[1];
      }
      seed.value = now.seed;
      clear.hidden = now.data !== "drawn";
    },
  };
}

/** Data drawn on the board, by mouse, finger or key; what it returns draws the cursor of the keys. */
function letDraw(canvas, { drawn, set, paint, say }) {
  let cursor = [0, 0];
  let stroke = null;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * 2 * REACH - REACH, REACH - ((event.clientY - box.top) / box.height) * 2 * REACH];
  };
  const add = (points, point) => {
    const last = points.at(-1);
    const near = last && Math.hypot(point[0] - last[0], point[1] - last[1]) < 0.03;
    return near || points.length >= MOST_POINTS ? points : [...points, point.map((v) => Math.max(-REACH, Math.min(REACH, v)))];
  };
  const sketch = perFrame(() => {
    if (!stroke) return;
    paint();
    const pen = canvas.getContext("2d");
    pen.fillStyle = getComputedStyle(canvas).getPropertyValue("--a");
    for (const [x, y] of stroke) pen.fillRect(px(x) - 5, px(-y) - 5, 10, 10);
  });
  canvas.addEventListener("pointerdown", (event) => {
    if (!canvas.classList.contains("drawable") || event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    stroke = add([...drawn()], place(event));
    sketch();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!stroke) return;
    stroke = add(stroke, place(event));
    sketch();
  });
  canvas.addEventListener("pointerup", () => {
    if (stroke) set({ drawn: stroke });
    stroke = null;
  });
  canvas.addEventListener("keydown", (event) => {
    if (!canvas.classList.contains("drawable") || event.ctrlKey || event.metaKey || event.altKey) return;
    const push = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (push) cursor = cursor.map((v, i) => Math.max(-1.5, Math.min(1.5, v + 0.08 * push[i])));
    else if (event.key === " ") set({ drawn: add([...drawn()], cursor) });
    else return;
    event.preventDefault();
    say(`${push ? "At" : "Point placed at"} ${short(cursor[0])}, ${short(cursor[1])}.`);
    paint();
  });
  return (pen, colour) => {
    if (document.activeElement !== canvas) return;
    Object.assign(pen, { strokeStyle: colour, lineWidth: 3 });
    pen.strokeRect(px(cursor[0]) - 9, px(-cursor[1]) - 9, 18, 18);
  };
}

function render({ model, el }) {
  const { fields, presets, trained, title, share } = model.get("data");
  const root = frame(el, "gan-laboratory", title, CSS + NETWORKS_CSS);
  const save = throttled(() => model.save_changes(), 250);
  const set = (values) => {
    for (const [key, value] of Object.entries(values)) model.set(key, value);
    save();
  };
  const settings = () => model.get("settings");

  // ---- what is known of the run
  let [law, real, started, state, latest] = [null, null, null, null, null];
  let [losses, scores] = [makeHistory(), makeHistory()];
  let judged = null; // whether the promise was kept, once its step has come

  // ---- where it starts
  const preset = () => findPreset(settings(), fields, presets);
  const pick = select([...presets.map((p) => [p.name, p.title]), ["", "a set-up of your own"]], () => {
    const chosen = presets.find((p) => p.name === pick.value);
    if (chosen) set({ settings: { ...defaultSettings(fields), ...chosen.settings, seed: settings().seed } });
  });
  const look = make("p");
  const verdict = make("p", { className: "verdict", "aria-live": "polite" });
  const cures = make("div", { className: "row cures" });
  root.append(make("p", { className: "title" }, title), make("div", { className: "start" },
    make("label", {}, "Experiment", pick), look, verdict, cures));

  // ---- the board
  const canvas = make("canvas", { role: "img" });
  const pen = canvas.getContext("2d");
  const hint = make("p", { className: "hint", hidden: true });
  const layers = { real: true, fake: true, surface: true, pull: true, web: false };
  const keyNames = { real: "data", fake: "fakes of G", surface: "D\u2019s answer", pull: "D\u2019s pull on a fake", web: "net of noise" };
  const boxes = Object.entries(keyNames).map(([key, name]) => make("label", {},
    make("input", { type: "checkbox", checked: layers[key], onchange: (event) => {
      layers[key] = event.target.checked;
      ask();
    } }), glyph(key), name));

  // ---- playing
  let speed = 200;
  let slow = null; // the timer of slow motion
  let phase = -1;
  const play = button("", () => set({ playing: !model.get("playing") }), { className: "play" });
  const one = (who) => {
    if (model.get("playing")) set({ playing: false });
    line.send({ kind: "one", who, times: 1 });
    showPhase(who === "d" ? 2 : 5);
    ask();
  };
  const pace = select(SPEEDS, () => {
    speed = pace.value === "slow" || pace.value === "" ? pace.value : Number(pace.value);
    if (model.get("playing")) go();
  });
  pace.value = "200";
  const where = make("p", { className: "where" });
  const flow = makeFlow();
  function showPhase(k) {
    phase = k;
    flow.show(k);
    networks.light(k >= 0 ? PHASES[k].net : null);
  }
  function go() { // follows `playing` and the speed
    clearInterval(slow);
    slow = null;
    line.send({ kind: "pause" });
    if (model.get("playing") && speed === "slow") {
      const next = () => {
        showPhase((phase + 1) % PHASES.length);
        const { act } = PHASES[phase];
        if (act) line.send({ kind: "one", who: act, times: settings()[`${act}_steps`] });
        ask();
      };
      next();
      slow = setInterval(next, 1800);
    } else {
      showPhase(-1);
      const at = preset()?.at;
      if (model.get("playing")) {
        line.send({ kind: "run", rate: speed || null, until: at > (state?.steps ?? 0) ? at : null });
      }
    }
    play.textContent = model.get("playing") ? "\u275a\u275a Pause" : "\u25b6 Play";
    ask();
  }

  // ---- numbers and curves
  const numbers = makeNumbers();
  const news = make("p", { className: "unseen", "aria-live": "polite" });

  // ---- the set-up
  const setup = makeSetup({ fields, settings, drawn: () => model.get("drawn"), set, share,
    keep: () => line.send({ kind: "keep" }), load });

  // ---- networks: drawn, unfolded, kept
  const networks = makeNetworks(() => ask(), short);
  const unfolder = makeUnfolder((t) => set({ unfold: t }));
  const unfold = () => model.get("unfold") ?? 1;
  const startTrained = button("Start trained", () => begin(trained.find(({ name }) => name === preset()?.name)));
  function begin({ settings: wanted, drawn = [], ...kept }) { // from networks that were kept
    set({ playing: false });
    set({ drawn, settings: wanted });
    restart(kept);
  }
  function load(text) {
    try {
      const file = readFile(text, fields, (data) => makeLaw(data).dim);
      begin(file);
      return `Loaded, as they were at step ${count(file.step)}. Play goes on from there.`;
    } catch (error) {
      return error.message;
    }
  }
  function download(kept) {
    const text = writeFile(settings(), model.get("drawn"), kept);
    const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    make("a", { href: address, download: `gan-laboratory-${settings().data}-${kept.step}.json` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  }

  root.append(make("div", { className: "stage" },
    make("div", {},
      make("div", { className: "row transport" }, play, button("D step", () => one("d")), button("G step", () => one("g")),
        button("Reset", () => restart()), make("label", {}, "Speed ", pace), startTrained),
      make("div", { className: "board" }, canvas, hint),
      where,
      make("div", { className: "layers", role: "group", "aria-label": "What the picture shows" }, ...boxes),
      unfolder.body),
    make("div", {}, ...flow.parts, ...numbers.parts)), networks.body, setup.body, news);

  // ---- talking to the driver
  let [id, waiting, queued] = [0, false, false];
  function ask() {
    if (waiting) { queued = true; return; }
    [waiting, queued] = [true, false];
    const folded = unfold() < 1;
    line.send({ kind: "look", layers: { pull: layers.pull, surface: layers.surface, web: layers.web || folded, start: folded,
      nets: networks.isOpen() } });
  }
  function receive(message) {
    if (message.kind === "frame") waiting = false;
    if (message.id !== id) return void (message.kind === "frame" && ask());
    if (message.kind === "kept") return void download(message);
    if (message.kind === "started") {
      started = message;
      return;
    }
    const was = state;
    state = message;
    for (const row of message.losses) losses.add(row);
    for (const m of message.measures) {
      scores.add([m.step, m.w1, m.quality, m.modes / law.centres.length, m.kl, m.reverse_kl, m.jsd]);
      latest = m;
      const { at, promise } = preset() ?? {};
      if (m.step === at) judged = { kept: isKept(promise, m), measured: m };
    }
    set({ step: message.steps, metrics: metricsOf(latest) });
    paint();
    words();
    if (message.running) setTimeout(() => requestAnimationFrame(ask), prefersCalm() ? 500 : 30);
    else if (model.get("playing") && speed !== "slow" && was?.running) set({ playing: false });
    if (queued) ask();
    if (was?.running && !message.running) announce();
  }
  const line = connect(receive);
  const REPORTED = ["w1", "jsd", "kl", "reverse_kl", "quality", "modes", "pull", "swings"];
  const metricsOf = (m) => (m ? Object.fromEntries(REPORTED.map((name) => [name, m[name]])) : {});

  let from = null; // the networks that this run began with, if it did not begin with the seed's
  function restart(kept = null) {
    id += 1;
    from = kept;
    [state, latest, judged, started] = [null, null, null, null];
    [losses, scores] = [makeHistory(), makeHistory()];
    law = makeLaw(settings().data, model.get("drawn"));
    const uniform = uniforms(settings().seed, 3);
    real = new Float64Array(400 * law.dim);
    sampleLaw(law, real, 400, uniform, normals(uniform));
    showSettings();
    line.send({ kind: "start", id, settings: settings(), drawn: model.get("drawn"), kept });
    phase = -1;
    go();
  }

  // ---- showing
  function showSettings() {
    const now = settings();
    startTrained.hidden = !trained.some(({ name }) => name === preset()?.name);
    unfolder.body.hidden = now.latent_dim > 2;
    if (now.latent_dim > 2) set({ unfold: 1 });
    setup.show();
    const chosen = preset();
    pick.value = chosen?.name ?? "";
    look.textContent = chosen?.look ?? "Yours: nobody promises anything. Say what you expect before you press play.";
    verdict.hidden = !chosen;
    cures.replaceChildren(...(chosen?.cures ?? []).map(([name, words]) => {
      const cure = presets.find((p) => p.name === name);
      return button(words, () => {
        set({ settings: { ...defaultSettings(fields), ...cure.settings, seed: settings().seed } });
        set({ playing: true });
        (cures.querySelector("button") ?? play).focus(); // this button is gone: the keyboard stays where it was
      });
    }));
    if (chosen?.cures) cures.prepend(make("span", { className: "soft" }, "Try next:"));
    const drawing = now.data === "drawn";
    canvas.classList.toggle("drawable", drawing);
    hint.hidden = !(drawing && model.get("drawn").length === 0);
    hint.textContent = "Draw the data here, with the mouse or a finger; or arrow keys and space.";
    canvas.tabIndex = drawing ? 0 : -1;
    canvas.setAttribute("role", drawing ? "application" : "img");
    canvas.width = WIDE;
    canvas.height = law.dim === 1 ? WIDE * 0.75 : WIDE;
    boxes[4].hidden = law.dim === 1;
    boxes[4].style.display = law.dim === 1 ? "none" : "";
  }

  function words() {
    if (!latest || !started) return;
    where.textContent = `Step ${count(state.steps)}. D was updated ${count(state.d_updates)} times, G ${
      count(state.g_updates)} times${from ? ` since they were loaded at step ${count(from.step)}` : ""}.`;
    if (state.broken) where.textContent += " The numbers ran out of range here: lower the rates, and reset.";
    numbers.show({ law, state, first: from?.step ?? 0, started, losses, scores, latest });
    const chosen = preset();
    if (chosen) {
      const promised = `Promised at step ${count(chosen.at)}: ${promiseInWords(chosen.promise, law)}.`;
      const outcome = !judged ? "" : judged.kept ? ` \u2713 Kept: ${inWords(chosen.promise, judged.measured, law)}.`
        : ` \u2717 Not with this seed: ${inWords(chosen.promise, judged.measured, law)}.`;
      if (verdict.textContent !== promised + outcome) verdict.textContent = promised + outcome;
      verdict.className = `verdict ${!judged ? "" : judged.kept ? "kept" : "missed"}`;
    }
    canvas.setAttribute("aria-label", `${describe()} ${law.name === "drawn"
      ? "Drawing board: arrow keys move, space places a point." : ""}`);
  }
  function describe() {
    if (!latest || !state) return "";
    const m = latest;
    const lossNow = losses.rows().at(-1) ?? [0, null, null];
    return `Step ${count(state.steps)}: ${law.modes ? `${METRICS.modes(m.modes, law)}, ` : ""}${METRICS.quality(m.quality)}, ${
      METRICS.w1(m.w1)} with a floor of ${short(started?.floor.w1)}, ${METRICS.pull(m.pull)}. Loss of D ${
      short(lossNow[1])}, of G ${short(lossNow[2])}.`;
  }
  const announce = () => { if (describe()) news.textContent = describe(); };
  const bulletin = setInterval(() => { if (model.get("playing")) announce(); }, 5000); // no more often: it interrupts

  // ---- painting
  const sheet = make("canvas");
  function paint() {
    const style = getComputedStyle(root);
    const colours = Object.fromEntries(["paper", "ink", "soft", "line", "a", "b", "d"].map((name) =>
      [name, style.getPropertyValue(`--${name}`).trim()]));
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.fillStyle = colours.paper;
    pen.fillRect(0, 0, canvas.width, canvas.height);
    const t = unfold();
    (law.dim === 1 ? paintLine : paintPlane)(pen, { law, real, state: unfoldFrame(state, t), colours, settings: settings(),
      sheet, layers: { ...layers, web: layers.web || t < 1 } });
    if (state?.nets && networks.isOpen()) networks.show(state.nets, colours);
    if (law.name === "drawn") drawCursor(pen, colours.ink);
  }
  const drawCursor = letDraw(canvas, { drawn: () => model.get("drawn"), set, paint: () => state && paint(),
    say: (text) => { news.textContent = text; } });

  // ---- the host
  const fromAddress = () => {
    const found = share ? readAddress(location.hash, fields, presets) : null;
    if (found) set(found);
    return found;
  };
  const onHash = () => { if (fromAddress()) root.scrollIntoView({ block: "nearest" }); };
  if (share) addEventListener("hashchange", onHash);
  if (fromAddress()) root.scrollIntoView({ block: "start" });
  const showUnfold = () => {
    unfolder.show(unfold());
    if (state) paint();
    ask();
  };
  const bindings = [["settings", () => restart()], ["drawn", () => restart()], ["playing", go], ["unfold", showUnfold]];
  for (const [key, fn] of bindings) model.on(`change:${key}`, fn);
  restart();
  unfolder.show(unfold());

  root.laboratory = { // for tests and for the curious, from the browser's console
    inWorker: () => line.inWorker(),
    state: () => state,
    latest: () => latest,
    /** Steps a second, the best of `rounds` rounds, on this page's own thread. */
    benchmark(rounds = 5, steps = 300) {
      const run = makeRun(settings(), model.get("drawn"));
      const took = Array.from({ length: rounds }, () => {
        const begun = performance.now();
        for (let k = 0; k < steps; k++) run.step();
        return performance.now() - begun;
      });
      return (1000 * steps) / Math.min(...took);
    },
  };
  return () => {
    line.close();
    clearInterval(slow);
    clearInterval(bulletin);
    networks.close();
    unfolder.stop();
    removeEventListener("hashchange", onHash);
    for (const [key, fn] of bindings) model.off(`change:${key}`, fn);
  };
}

export default { render };
