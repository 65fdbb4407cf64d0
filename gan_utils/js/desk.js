// The desk of the demonstrations with plots and sliders: plots with fixed axes, controls bound to the model, readings.
import { draw, make, perFrame, settled, throttled } from "./common.js";

export const CSS = `
.gan-game .stage { display: flex; flex-wrap: wrap; gap: .4rem 1.4rem; }
.gan-game .stage > div { flex: 1 1 17rem; min-width: 0; }
.gan-game .plot { margin: 0; }
.gan-game .plot p { font-size: .87em; font-weight: 600; margin: .35rem 0 0; }
.gan-game .plot svg { display: block; width: 100%; height: auto; touch-action: pan-y; }
.gan-game .plot svg.hold { cursor: ew-resize; }
.gan-game .plot svg.plane { cursor: move; touch-action: none; }
.gan-game .controls { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr));
  gap: .3rem 1.4rem; margin-top: .7rem; }
.gan-game fieldset { border: 0; border-top: 2px solid var(--line); margin: 0; padding: .3rem 0 0; min-width: 0; }
.gan-game legend { float: left; width: 100%; padding: 0; font-size: .92em; font-weight: 650; }
.gan-game legend svg { display: inline-block; width: 1.9em; height: .8em; margin-right: .4em; }
.gan-game .control { display: flex; gap: .6rem; align-items: center; clear: both; font-size: .92em;
  min-height: 2.2rem; }
.gan-game .control > span { flex: none; width: 5.6rem; }
.gan-game .control output { flex: none; width: 3.4rem; text-align: right; }
.gan-game .control select { flex: 1; min-width: 0; }
.gan-game .readings { display: flex; flex-wrap: wrap; gap: .1rem 1.5rem; margin: .6rem 0 0; padding: 0;
  list-style: none; }
.gan-game .readings li { margin: 0; }
.gan-game .readings b { display: inline-block; min-width: 3.6em; }
.gan-game .verdict { margin-top: .4rem; min-height: 1.45em; }
`;

export const places = (v, n = 2) => (Number.isFinite(v) ? v.toFixed(n).replace("-", "\u2212")
  : v > 0 ? "\u221e" : "\u2013");
const PADS = { left: 44, right: 10, top: 8, bottom: 34 };

/** A plot with fixed axes in its own figure: `x`, `y` from numbers to places, `layer` to draw in, `at` back. */
export function makePlot(title, { x, y, width = 360, height = 190, xTicks, yTicks, xLabel, yWords = String,
  log = false }) {
  const number = log ? Math.log : (v) => v;
  const map = ([low, high], from, to) => (v) => from + ((number(v) - number(low)) / (number(high) - number(low)))
    * (to - from);
  const plain = ([low, high], from, to) => (v) => from + ((v - low) / (high - low)) * (to - from);
  const [right, floor] = [width - PADS.right, height - PADS.bottom];
  const [px, py] = [plain(x, PADS.left, right), map(y, floor, PADS.top)];
  const words = (text, attributes) => {
    const node = draw("text", { fill: "var(--soft)", "font-size": 11.5, ...attributes });
    node.textContent = text;
    return node;
  };
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
  for (const v of yTicks) {
    svg.append(draw("line", { x1: PADS.left, x2: right, y1: py(v), y2: py(v), stroke: "var(--wash)",
      "stroke-width": 1.5 }), words(yWords(v), { x: PADS.left - 6, y: py(v) + 4, "text-anchor": "end" }));
  }
  for (const v of xTicks) svg.append(words(places(v, 0), { x: px(v), y: floor + 15, "text-anchor": "middle" }));
  svg.append(words(xLabel, { x: (PADS.left + right) / 2, y: height - 4, "text-anchor": "middle" }));
  // a nested svg cuts off what leaves the axes, without an id that two copies on a page would share
  const layer = draw("svg", { x: PADS.left, y: PADS.top, width: right - PADS.left, height: floor - PADS.top,
    viewBox: `${PADS.left} ${PADS.top} ${right - PADS.left} ${floor - PADS.top}`, overflow: "hidden" });
  svg.append(layer, draw("rect", { x: PADS.left, y: PADS.top, width: right - PADS.left, height: floor - PADS.top,
    fill: "none", stroke: "var(--line)" }));
  return {
    svg, layer, x: px, y: py, words,
    node: make("figure", { className: "plot" }, make("p", {}, title), svg),
    /** Numbers [[x, y], ...] as a path; a gap where y is not finite. */
    path(points) {
      let [out, joined] = ["", false];
      for (const [a, b] of points) {
        const seen = Number.isFinite(b) && (!log || b > 0);
        if (seen) out += `${joined ? "L" : "M"}${px(a).toFixed(2)} ${py(b).toFixed(2)}`;
        joined = seen;
      }
      return out;
    },
    /** The numbers at a place on the screen. */
    at(event) {
      const box = svg.getBoundingClientRect();
      const across = ((event.clientX - box.left) / box.width) * width;
      const down = ((event.clientY - box.top) / box.height) * height;
      return [x[0] + ((across - PADS.left) / (right - PADS.left)) * (x[1] - x[0]),
        y[0] + ((floor - down) / (floor - PADS.top)) * (y[1] - y[0])];
    },
  };
}

export const line = (colour, dash = "", width = 2.4) => draw("path", { fill: "none", stroke: `var(--${colour})`,
  "stroke-width": width, "stroke-dasharray": dash, "stroke-linejoin": "round" });
export const dashed = (plot, y) => draw("line", { x1: 0, x2: 999, y1: plot.y(y), y2: plot.y(y), stroke: "var(--ink)",
  "stroke-width": 1.2, "stroke-dasharray": "4 4" });
const MARKERS = { round: "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z", square: "M-4.5-4.5h9v9h-9z" };
export const marker = (colour, shape) => draw("path", { d: MARKERS[shape], fill: `var(--${colour})`,
  stroke: "var(--paper)", "stroke-width": 1.5 });
export const put = (node, x, y) => node.setAttribute("transform", `translate(${x} ${y})`);
export const key = (colour, dash, shape) => draw("svg", { viewBox: "0 0 30 12", "aria-hidden": true },
  draw("line", { x1: 0, x2: 30, y1: 6, y2: 6, stroke: `var(--${colour})`, "stroke-width": 2.5,
    "stroke-dasharray": dash }),
  draw("path", { d: MARKERS[shape], transform: "translate(15 6)", fill: `var(--${colour})` }));

/**
 * A slider bound to one number of the model; `called` is its name for a screen reader. The slider stands at
 * `to(number)`, and a place on it is the number `from(place)`: for scales that are not even.
 */
export function makeSlider(desk, { key: name, label, called = label, min, max, step, digits = 2, words = (v) => v,
  to = (v) => v, from = (v) => v }) {
  const input = make("input", { type: "range", min, max, step, "aria-label": called });
  const output = make("output", { className: "num" });
  input.addEventListener("input", () => { desk.touched(); desk.set({ [name]: from(Number(input.value)) }); });
  desk.onShow(() => {
    const text = places(desk.get(name), digits);
    input.value = to(desk.get(name));
    input.setAttribute("aria-valuetext", words(text));
    output.textContent = text;
  });
  return make("label", { className: "control" }, make("span", {}, label), input, output);
}

export function makeSelect(desk, { key: name, label, called = label, options }) {
  const select = make("select", { "aria-label": called },
    ...Object.entries(options).map(([value, text]) => make("option", { value, textContent: text })));
  select.addEventListener("change", () => { desk.touched(); desk.set({ [name]: select.value }); });
  desk.onShow(() => { select.value = desk.get(name); });
  return make("label", { className: "control" }, make("span", {}, label), select);
}

/** Numbers in a row under the plots: readings(["JSD", ...]) gives the list and a function that fills it. */
export function makeReadings(names) {
  const numbers = names.map(() => make("b", { className: "num" }));
  return { list: make("ul", { className: "readings" },
    ...names.map((name, i) => make("li", {}, `${name} `, numbers[i]))),
  fill(values) { values.forEach((text, i) => { numbers[i].textContent = text; }); } };
}

/** The bridge between the model and what is on the screen; one redrawing a frame, one sentence when it rests. */
export function makeDesk(model, keys, root) {
  const shows = [];
  const save = throttled(() => model.save_changes(), 80);
  const news = make("p", { className: "unseen", "aria-live": "polite" });
  let sentence = "";
  const say = settled(() => { news.textContent = sentence; }, 500);
  let moved = false; // nothing is said before the reader moves something
  const show = perFrame(() => { for (const fn of shows) fn(); if (moved) say(); });
  const change = () => { moved = true; show(); };
  for (const name of keys) model.on(`change:${name}`, change);
  root.append(news);
  return {
    get: (name) => model.get(name),
    set(values) { for (const [name, v] of Object.entries(values)) model.set(name, v); save(); },
    onShow(fn) { shows.push(fn); },
    summary(text) { sentence = text; },
    touched() {}, // the Dirac-GAN stops playing here
    show,
    close: () => { for (const name of keys) model.off(`change:${name}`, change); },
  };
}

/** Calls `move(event)` from press to release, mouse and finger alike. */
export function hold(svg, press, move) {
  svg.classList.add("hold");
  svg.addEventListener("pointerdown", (event) => {
    svg.setPointerCapture(event.pointerId);
    press(event);
    move(event);
  });
  svg.addEventListener("pointermove", (event) => { if (svg.hasPointerCapture(event.pointerId)) move(event); });
}

export const clamp = (v, low, high) => Math.min(high, Math.max(low, v));
export const grid = (low, high, n) => Array.from({ length: n + 1 }, (_, i) => low + (i * (high - low)) / n);
