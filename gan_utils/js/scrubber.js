// The time-lapse: a slider over pictures and, beside them, the curves that belong to them.
// All pictures lie in one sprite, so a page asks for nothing and the memory is decoded once.
import { draw, frame, make, perFrame, prefersCalm, throttled } from "./common.js";

const CSS = `
.gan-scrubber .stage { display: flex; flex-wrap: wrap; gap: 1rem 1.5rem; align-items: center; }
.gan-scrubber .pictures { flex: 1 1 15rem; min-width: 0; text-align: center; }
.gan-scrubber .pictures canvas { display: inline-block; max-width: 100%; height: auto;
  border-radius: .4rem; }
.gan-scrubber .curves { flex: 1 1 18rem; min-width: 0; }
.gan-scrubber .curves > svg { display: block; width: 100%; height: auto; cursor: ew-resize;
  touch-action: pan-y; }
.gan-scrubber .keys { display: flex; flex-wrap: wrap; gap: .15rem 1.1rem; font-size: .87em;
  margin: 0 0 .2rem 0; padding: 0; list-style: none; }
.gan-scrubber .keys li { margin: 0; }
.gan-scrubber .keys svg { display: inline-block; width: 1.9em; height: .8em; margin-right: .4em; }
.gan-scrubber .keys b { display: inline-block; min-width: 3.6em; }
.gan-scrubber .bar { display: flex; flex-wrap: wrap; gap: .4rem .8rem; align-items: center; margin-top: .8rem; }
.gan-scrubber .bar button { flex: none; min-width: 5.4rem; }
.gan-scrubber .bar input { flex: 1 1 8rem; }
.gan-scrubber .bar output { flex: none; text-align: right; font-size: .92em; }
.gan-scrubber .caption { margin-top: .5rem; min-height: 1.45em; }
`;

// Colour is never alone: each series has its dash and its marker too.
const LOOKS = [
  { colour: "var(--a)", dash: "", marker: "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z" },
  { colour: "var(--b)", dash: "7 4", marker: "M-4-4h8v8h-8z" },
  { colour: "var(--c)", dash: "2 3", marker: "M0-5.5 5 4h-10z" },
  { colour: "var(--d)", dash: "9 3 2 3", marker: "M0-5.5 5.5 0 0 5.5-5.5 0z" },
  { colour: "var(--soft)", dash: "14 4", marker: "M0 5.5 5-4h-10z" },
];
const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [380, 250, 52, 12, 10, 42];

export function short(v) {
  if (v === 0) return "0";
  const size = Math.abs(v);
  if (size >= 1e5 || size < 1e-3) return v.toExponential(1).replace("e+", "e");
  return size >= 1000 ? v.toLocaleString("en", { maximumFractionDigits: 0 })
    : String(Number(v.toPrecision(3)));
}

/** Round places for ticks between low and high: 1, 2 or 5 times a power of ten. */
export function ticks(low, high, log) {
  if (log) {
    const decades = Math.log10(high / low);
    const steps = decades > 5 ? [1] : decades > 1.2 ? [1, 3] : [1, 1.5, 2, 3, 5, 7];
    const all = [];
    for (let p = Math.floor(Math.log10(low)); p <= Math.log10(high); p++) {
      for (const s of steps) all.push(s * 10 ** p);
    }
    return all.filter((v) => v >= low * 0.999 && v <= high * 1.001);
  }
  const rough = (high - low) / 5 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((s) => s * power >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => (first + i) * step);
}

/** Maps numbers to places on one axis; `log` wants positive numbers. */
function scale(numbers, from, to, log) {
  const fn = log ? Math.log : (v) => v;
  let [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  if (low === high) [low, high] = log ? [low / 2, low * 2] : [low - 0.5, high + 0.5];
  const place = (v) => from + ((fn(v) - fn(low)) / (fn(high) - fn(low))) * (to - from);
  return { place, low, high };
}

/** The last point of the series at or before x. */
const upTo = ({ x, y }, now) => {
  let last = null;
  for (let i = 0; i < x.length && x[i] <= now + 1e-9; i++) if (y[i] !== null) last = i;
  return last;
};

function makeCurves({ series, lines, x, label, ylabel, log }) {
  const usable = (v) => v !== null && (!log || v > 0);
  const ys = [...series.flatMap((s) => s.y), ...lines.map((line) => line.y)].filter(usable);
  const span = log ? Math.log(Math.max(...ys) / Math.min(...ys)) : Math.max(...ys) - Math.min(...ys);
  const room = 0.05 * span; // so that no curve lies on the frame
  const yAxis = scale(log ? [...ys, Math.min(...ys) * Math.exp(-room), Math.max(...ys) * Math.exp(room)]
    : [...ys, Math.min(...ys) - room, Math.max(...ys) + room], HEIGHT - BOTTOM, TOP, log);
  const xAxis = scale([...x, ...series.flatMap((s) => s.x)], LEFT + 6, WIDTH - RIGHT - 6, false);

  const text = (words, attributes) => {
    const node = draw("text", { fill: "var(--soft)", "font-size": 11.5, ...attributes });
    node.textContent = words;
    return node;
  };
  const svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
  for (const v of ticks(yAxis.low, yAxis.high, log)) {
    const y = yAxis.place(v);
    svg.append(draw("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y, y2: y, stroke: "var(--wash)",
      "stroke-width": 1.5 }), text(short(v), { x: LEFT - 6, y: y + 4, "text-anchor": "end" }));
  }
  for (const v of ticks(xAxis.low, xAxis.high, false)) {
    svg.append(text(short(v), { x: xAxis.place(v), y: HEIGHT - BOTTOM + 17, "text-anchor": "middle" }));
  }
  svg.append(
    draw("rect", { x: LEFT, y: TOP, width: WIDTH - LEFT - RIGHT, height: HEIGHT - TOP - BOTTOM,
      fill: "none", stroke: "var(--line)" }),
    text(label, { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 6, "text-anchor": "middle" }),
    text(ylabel, { transform: `translate(12 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)`,
      "text-anchor": "middle" }));
  for (const { name, y } of lines.filter((line) => usable(line.y))) {
    const place = yAxis.place(y);
    svg.append(draw("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: place, y2: place, stroke: "var(--ink)",
      "stroke-width": 1.2, "stroke-dasharray": "4 4" }),
    text(name, { x: WIDTH - RIGHT - 14, y: place - 5, "text-anchor": "end", fill: "var(--ink)",
      stroke: "var(--paper)", "stroke-width": 3, "paint-order": "stroke" }));
  }
  series.forEach((s, i) => {
    let path = ""; // a gap where a value is missing
    s.y.forEach((v, j) => {
      if (!usable(v)) return;
      const joined = j > 0 && usable(s.y[j - 1]);
      path += `${joined ? "L" : "M"}${xAxis.place(s.x[j]).toFixed(1)} ${yAxis.place(v).toFixed(1)}`;
    });
    svg.append(draw("path", { d: path, fill: "none", stroke: LOOKS[i % LOOKS.length].colour, "stroke-width": 2.2,
      "stroke-dasharray": LOOKS[i % LOOKS.length].dash, "stroke-linejoin": "round" }));
  });
  const now = draw("line", { y1: TOP, y2: HEIGHT - BOTTOM, stroke: "var(--ink)", "stroke-width": 1.5 });
  const markers = series.map((_, i) => draw("path", { d: LOOKS[i % LOOKS.length].marker,
    fill: LOOKS[i % LOOKS.length].colour, stroke: "var(--paper)", "stroke-width": 1.5 }));
  svg.append(now, ...markers);

  svg.setAttribute("aria-label", `${ylabel || "values"} against ${label}. ${series.map((s) => {
    const known = s.y.filter((v) => v !== null);
    return known.length ? `${s.name} goes from ${short(known[0])} to ${short(known.at(-1))}, lowest ${
      short(Math.min(...known))}` : `${s.name} has no value`;
  }).join("; ")}. ${lines.map((line) => `${line.name}: ${short(line.y)}`).join("; ")}`);
  return {
    svg,
    move(at) {
      now.setAttribute("transform", `translate(${xAxis.place(at)} 0)`);
      series.forEach((s, i) => {
        const j = upTo(s, at);
        const seen = j !== null && usable(s.y[j]);
        markers[i].style.display = seen ? "" : "none";
        if (seen) {
          markers[i].setAttribute("transform",
            `translate(${xAxis.place(s.x[j])} ${yAxis.place(s.y[j])})`);
        }
      });
    },
    /** The frame whose x is nearest to a place on the screen. */
    frameAt(clientX) {
      const box = svg.getBoundingClientRect();
      const place = ((clientX - box.left) / box.width) * WIDTH;
      const away = x.map((v) => Math.abs(xAxis.place(v) - place));
      return away.indexOf(Math.min(...away));
    },
  };
}

function makeKeys(series) {
  const numbers = series.map(() => make("b", { className: "num" }));
  const list = make("ul", { className: "keys" }, ...series.map((s, i) => make("li", {},
    draw("svg", { viewBox: "0 0 30 12", "aria-hidden": true },
      draw("line", { x1: 0, x2: 30, y1: 6, y2: 6, stroke: LOOKS[i % LOOKS.length].colour, "stroke-width": 2.5,
        "stroke-dasharray": LOOKS[i % LOOKS.length].dash }),
      draw("path", { d: LOOKS[i % LOOKS.length].marker, transform: "translate(15 6)", fill: LOOKS[i % LOOKS.length].colour })),
    `${s.name} `, numbers[i])));
  return { list, numbers };
}

function render({ model, el }) {
  const data = model.get("data");
  const { sprite, columns, width, height, scale: enlarge, values, x, captions, alts, label, title } = data;
  const root = frame(el, "gan-scrubber", title, CSS);
  const save = throttled(() => model.save_changes(), 80);
  const last = values.length - 1;
  const index = () => model.get("index");
  const goTo = (i) => { model.set("index", Math.min(last, Math.max(0, i))); save(); };

  const image = new Image();
  const canvas = make("canvas", { width, height, role: "img" });
  canvas.style.width = `${width * enlarge}px`;
  const pen = canvas.getContext("2d");
  const slider = make("input", { type: "range", min: 0, max: last, step: 1, "aria-label": label });
  const place = make("output", { className: "num" });
  const caption = make("p", { className: "caption soft" });
  const play = make("button", { type: "button" });

  const curves = data.series.length ? makeCurves(data) : null;
  const keys = makeKeys(data.series);
  const stage = make("div", { className: "stage" }, make("div", { className: "pictures" }, canvas));
  if (curves) {
    stage.append(make("div", { className: "curves" }, keys.list, curves.svg));
    const follow = (event) => { stop(); goTo(curves.frameAt(event.clientX)); };
    curves.svg.addEventListener("pointerdown", (event) => {
      curves.svg.setPointerCapture(event.pointerId);
      follow(event);
    });
    curves.svg.addEventListener("pointermove", (event) => {
      if (curves.svg.hasPointerCapture(event.pointerId)) follow(event);
    });
  }
  root.append(make("p", { className: "title" }, title), stage,
    make("div", { className: "bar" }, play, slider, place));
  if (captions) root.append(caption);

  // Playing starts only when asked; a reader who wants less motion gets one picture a second.
  let timer = null;
  const label_play = () => { play.textContent = timer ? "\u275a\u275a Pause" : "\u25b6 Play"; };
  function stop() { clearInterval(timer); timer = null; label_play(); }
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (index() === last) goTo(0);
    const pause = prefersCalm() ? 1000 : Math.min(700, Math.max(120, 9000 / values.length));
    timer = setInterval(() => { goTo(index() + 1); if (index() === last) stop(); }, pause);
    label_play();
  });
  slider.addEventListener("input", () => { stop(); goTo(Number(slider.value)); });

  const show = perFrame(() => {
    const i = index();
    if (image.complete) {
      pen.clearRect(0, 0, width, height);
      pen.drawImage(image, (i % columns) * width, Math.floor(i / columns) * height, width, height,
        0, 0, width, height);
    }
    const read = data.series.map((s) => { const j = upTo(s, x[i]); return j === null ? "\u2013" : short(s.y[j]); });
    read.forEach((text, k) => { keys.numbers[k].textContent = text; });
    curves?.move(x[i]);
    slider.value = i;
    place.textContent = `${label} ${values[i]}`;
    slider.setAttribute("aria-valuetext", [`${label} ${values[i]}`,
      ...data.series.map((s, k) => `${s.name} ${read[k]}`), ...(captions ? [captions[i]] : [])].join(", "));
    canvas.setAttribute("aria-label", alts[i]);
    if (captions) caption.textContent = captions[i];
  });
  image.onload = show;
  image.src = sprite;
  label_play();
  model.on("change:index", show);
  show();
  return () => { stop(); model.off("change:index", show); };
}

export default { render };
