// The clinic: symptoms of a recorded run, four faults to choose from, the reason at once, and the repaired run beside.
// Answers stay in this browser, where it lets us keep them; nothing is sent anywhere.
import { draw, frame, make, throttled } from "./common.js";

const CSS = `
.gan-clinic .bar { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; }
.gan-clinic .bar select { flex: 1 1 12rem; min-width: 0; }
.gan-clinic .score { margin: .5rem 0 0; display: flex; flex-wrap: wrap; gap: .3rem .8rem; align-items: center; }
.gan-clinic .score button { min-height: 1.8rem; padding: 0 .6rem; }
.gan-clinic .name { margin: .9rem 0 .2rem; font-size: 1.1rem; font-weight: 650; }
.gan-clinic .stage { display: grid; gap: .4rem 1rem; margin-top: .5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 15rem), 1fr)); }
.gan-demo.gan-clinic figure { margin: 0; padding: 0; min-width: 0; max-width: 22rem; }
.gan-clinic figure p { font-size: .87em; font-weight: 600; }
.gan-clinic figure svg { display: block; width: 100%; height: auto; }
.gan-clinic figure img { display: block; width: 100%; max-width: 14rem; image-rendering: pixelated; }
.gan-clinic .keys { display: flex; flex-wrap: wrap; gap: 0 1rem; font-size: .87em; margin: .3rem 0 0; padding: 0;
  list-style: none; }
.gan-clinic .keys li { margin: 0; }
.gan-clinic .keys svg { display: inline-block; width: 1.9em; height: .7em; margin-right: .35em; }
.gan-clinic fieldset { border: 0; border-top: 2px solid var(--line); margin: .8rem 0 0; padding: .4rem 0 0;
  min-width: 0; }
.gan-clinic legend { padding: 0; font-size: 1.05rem; font-weight: 650; float: left; width: 100%; margin-bottom: .2rem; }
.gan-clinic .choice { display: flex; gap: .6rem; align-items: baseline; padding: .3rem .5rem; min-height: 2rem;
  border-radius: .4rem; cursor: pointer; clear: both; }
.gan-clinic .choice:hover { background: var(--wash); }
.gan-clinic .choice input { flex: none; width: 1.05rem; height: 1.05rem; margin: 0; accent-color: var(--a);
  transform: translateY(.15rem); }
.gan-clinic .choice.right { background: var(--wash); box-shadow: inset 4px 0 var(--c); }
.gan-clinic .choice.wrong { background: var(--wash); box-shadow: inset 4px 0 var(--b); }
.gan-clinic .mark { font-weight: 650; white-space: nowrap; }
.gan-clinic fieldset button { clear: both; margin-top: .4rem; }
.gan-clinic .verdict { margin-top: .7rem; }
.gan-clinic .verdict p { margin: 0 0 .5rem; }
.gan-clinic .scroll { overflow-x: auto; margin: .3rem 0 .7rem; }
.gan-clinic .scroll pre { margin: 0; padding: .5rem .7rem; background: var(--wash); color: var(--ink); border: 0;
  border-radius: .4rem; font: .82em/1.5 ui-monospace, monospace; width: max-content; min-width: 100%; }
.gan-clinic pre span { display: block; white-space: pre; padding-left: .6rem; }
.gan-clinic pre .out { box-shadow: inset 4px 0 var(--b); font-weight: 650; }
.gan-clinic pre .in { box-shadow: inset 4px 0 var(--c); font-weight: 650; }
.gan-clinic table { border-collapse: collapse; font-size: .87em; font-variant-numeric: tabular-nums; margin: 0;
  width: auto; display: table; }
.gan-clinic th, .gan-clinic td { padding: .2rem .9rem .2rem 0; text-align: left; font-weight: 400; border: 0;
  background: transparent; color: inherit; vertical-align: top; }
.gan-clinic thead th { font-weight: 650; }
.gan-clinic code { background: var(--wash); color: var(--ink); border: 0; padding: 0 .2em; border-radius: .2em;
  font: .92em ui-monospace, monospace; overflow-wrap: anywhere; }
`;

const KEY = "hands-on-gans-clinic";

// ------------------------------------------------------------------------------ arithmetic, tested in node

/** Right, answered and all: of the cases, those whose chosen fault is their own. */
export function tally(cases, answers) {
  const answered = cases.filter(({ name }) => answers[name] !== undefined);
  return { right: answered.filter(({ name }) => answers[name] === name).length, answered: answered.length,
    of: cases.length };
}

/** Answers that were kept, less those that fit no case of this page. */
export function sane(kept, cases) {
  const out = {};
  if (!kept || typeof kept !== "object") return out;
  for (const { name, choices } of cases) if (choices.includes(kept[name])) out[name] = kept[name];
  return out;
}

/** A number in three digits; what is not finite in words. */
export function short(v) {
  if (v === null || v === undefined || !Number.isFinite(v)) return "not a number";
  const size = Math.abs(v);
  const text = size >= 1e5 || (size < 1e-3 && size > 0) ? v.toExponential(1)
    : size >= 100 ? v.toFixed(0) : String(Number(v.toPrecision(3)));
  return text.replace("-", "\u2212");
}

/** Round numbers that span [low, high], four or so. */
export function ticks(low, high) {
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999);
  const out = [];
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + step * 1e-9; v += step) out.push(Number(v.toPrecision(6)));
  return out;
}

/** Limits of all the finite values, with a little air; both runs count, so that nothing moves when the cure appears. */
export function limits(lists, always = []) {
  const seen = [...lists.flat(), ...always].filter((v) => v !== null && Number.isFinite(v));
  if (!seen.length) return [0, 1];
  let [low, high] = [Math.min(...seen), Math.max(...seen)];
  if (high - low < 1e-9) [low, high] = [low - 0.5, high + 0.5];
  const air = (high - low) * 0.06;
  return [low - air, high + air];
}

// ------------------------------------------------------------------------------ drawing

const [WIDTH, HEIGHT] = [330, 190];
const PADS = { left: 50, right: 10, top: 8, bottom: 32 };
const word = (text, attributes) => {
  const node = draw("text", { fill: "var(--soft)", "font-size": 11.5, ...attributes });
  node.textContent = text;
  return node;
};

function makePlot({ x, y, xTicks, yTicks, xLabel, alt, height = HEIGHT }) {
  const [right, floor] = [WIDTH - PADS.right, height - PADS.bottom];
  const px = (v) => PADS.left + ((v - x[0]) / (x[1] - x[0])) * (right - PADS.left);
  const py = (v) => floor - ((v - y[0]) / (y[1] - y[0])) * (floor - PADS.top);
  const svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": alt });
  for (const v of yTicks) {
    svg.append(draw("line", { x1: PADS.left, x2: right, y1: py(v), y2: py(v), stroke: "var(--wash)" }),
      word(short(v), { x: PADS.left - 5, y: py(v) + 4, "text-anchor": "end" }));
  }
  for (const v of xTicks) svg.append(word(short(v), { x: px(v), y: floor + 14, "text-anchor": "middle" }));
  svg.append(word(xLabel, { x: (PADS.left + right) / 2, y: height - 4, "text-anchor": "middle" }));
  const layer = draw("svg", { x: PADS.left, y: PADS.top, width: right - PADS.left, height: floor - PADS.top,
    viewBox: `${PADS.left} ${PADS.top} ${right - PADS.left} ${floor - PADS.top}`, overflow: "hidden" });
  svg.append(layer, draw("rect", { x: PADS.left, y: PADS.top, width: right - PADS.left, height: floor - PADS.top,
    fill: "none", stroke: "var(--line)" }));
  const path = (values) => { // pairs; a gap where there is no number
    let [out, joined] = ["", false];
    for (const [a, b] of values) {
      const seen = b !== null && Number.isFinite(b);
      if (seen) out += `${joined ? "L" : "M"}${px(a).toFixed(1)} ${py(b).toFixed(1)}`;
      joined = seen;
    }
    return out;
  };
  return {
    svg, px, py,
    line(values, { colour, dash = "", width = 2.2 }) {
      layer.append(draw("path", { d: path(values), fill: "none", stroke: `var(--${colour})`, "stroke-width": width,
        "stroke-dasharray": dash, "stroke-linejoin": "round" }));
    },
    level(v, dash) {
      layer.append(draw("line", { x1: 0, x2: WIDTH, y1: py(v), y2: py(v), stroke: "var(--ink)", "stroke-width": 1.1,
        "stroke-dasharray": dash }));
    },
    put(node) { layer.append(node); },
  };
}

const figure = (title, content) => make("figure", {}, make("p", {}, title), content);
// sick and repaired differ by colour and by dash, D and G by width
const LOOKS = { sick: { colour: "b", dash: "" }, sound: { colour: "a", dash: "7 4" } };
const key = (colour, dash, width = 2.5) => {
  const svg = draw("svg", { viewBox: "0 0 30 12", "aria-hidden": true },
    draw("line", { x1: 0, x2: 30, y1: 6, y2: 6, stroke: `var(--${colour})`, "stroke-width": width,
      "stroke-dasharray": dash }));
  return svg;
};

function curveWords(values) {
  const seen = values.filter((v) => v !== null);
  return seen.length ? `begins at ${short(seen[0])}, ends at ${short(seen.at(-1))}` : "has no value";
}

function lossPlot(one, sound, which, shown) {
  const [name, index] = which === "D" ? ["d_loss", 0] : ["g_loss", 1];
  const chance = one.chance[index];
  const pairs = (values) => values.map((v, i) => [(i + 1) * one.every, v]);
  const all = [one.sick.losses[name], sound.losses[name]];
  const y = limits(all, chance === null ? [] : [chance]);
  const plot = makePlot({ x: [0, Math.max(one.steps, 1)], y, xTicks: ticks(0, Math.max(one.steps, 1)), yTicks: ticks(...y),
    xLabel: "step", height: 150, alt: `Loss of ${which}: ${curveWords(one.sick.losses[name])}`
    + `${chance === null ? "" : `; chance is ${short(chance)}`}`
    + `${shown ? `. Repaired: ${curveWords(sound.losses[name])}` : ""}.` });
  if (chance !== null) plot.level(chance, "4 4");
  if (shown) plot.line(pairs(sound.losses[name]), LOOKS.sound);
  plot.line(pairs(one.sick.losses[name]), LOOKS.sick);
  return figure(`Loss of ${which}`, plot.svg);
}

function metricPlot(one, sound, shown) {
  const pairs = (values) => values.map((v, i) => [i * one.every, v]);
  const y = limits([one.sick.curve, sound.curve], one.floor === null ? [] : [one.floor]);
  const plot = makePlot({ x: [0, Math.max(one.steps, 1)], y, xTicks: ticks(0, Math.max(one.steps, 1)), yTicks: ticks(...y),
    xLabel: "step", height: 150, alt: `${one.curve}: ${curveWords(one.sick.curve)}`
    + `${one.floor === null ? "" : `; right is ${short(one.floor)}`}`
    + `${shown ? `. Repaired: ${curveWords(sound.curve)}` : ""}.` });
  if (one.floor !== null) plot.level(one.floor, "1.5 3");
  if (shown) plot.line(pairs(sound.curve), LOOKS.sound);
  plot.line(pairs(one.sick.curve), LOOKS.sick);
  if (one.sick.curve.length === 1 && one.sick.curve[0] !== null) { // a single measurement is a dot
    const dot = (v, colour) => plot.put(draw("circle", { cx: plot.px(0) + 5, cy: plot.py(v), r: 5,
      fill: `var(--${colour})` }));
    if (shown) dot(sound.curve[0], LOOKS.sound.colour);
    dot(one.sick.curve[0], LOOKS.sick.colour);
  }
  return figure(`${one.curve[0].toUpperCase()}${one.curve.slice(1)}`, plot.svg);
}

/** Samples of one run, by the kind of patient. */
function samples(one, look, kind, words, top) {
  const { colour } = LOOKS[kind];
  if (!look.length) return figure(words, make("p", { className: "soft" }, "The run stopped: there is nothing to show."));
  if (one.view === "digits") {
    return figure(words, make("img", { src: `data:image/png;base64,${look}`, width: 224, height: 224,
      alt: `Sixteen pictures, four by four, ${kind === "sick" ? "of the sick run" : "of the repaired run"}` }));
  }
  const xLabel = { line: "x", judge: "x", critic: "along the line through both centres", plane: "" }[one.view];
  const [low, high] = one.range;
  if (one.view === "plane") {
    const plot = makePlot({ x: [-1.55, 1.55], y: [-1.55, 1.55], xTicks: [-1, 0, 1], yTicks: [-1, 0, 1], xLabel: "",
      height: 290, alt: `${words}: ${look.length} points in the plane; open circles mark the eight groups of the data` });
    for (let k = 0; k < 8; k++) {
      plot.put(draw("circle", { cx: plot.px(Math.cos(k * Math.PI / 4)), cy: plot.py(Math.sin(k * Math.PI / 4)), r: 14,
        fill: "none", stroke: "var(--line)" }));
    }
    const dots = look.map(([x, y]) => `M${plot.px(x / 100).toFixed(1)} ${plot.py(y / 100).toFixed(1)}h.01`).join("");
    plot.put(draw("path", { d: dots, stroke: `var(--${colour})`, "stroke-width": 3.4, "stroke-linecap": "round",
      opacity: 0.7 }));
    return figure(words, plot.svg);
  }
  if (one.view === "line") {
    const n = look.length;
    const width = (high - low) / n;
    const share = look.map((count) => count / 4000 / width);
    const plot = makePlot({ x: [low, high], y: [0, top], xTicks: ticks(low, high), yTicks: ticks(0, top), xLabel,
      alt: `${words}: a histogram; ${Math.round(look.reduce((a, b) => a + b, 0) / 40)} % of the samples lie in sight, `
      + `its top is at ${short(low + (look.indexOf(Math.max(...look)) + 0.5) * width)}. The line is the data's density` });
    const bars = share.map((v, i) => `M${plot.px(low + i * width).toFixed(1)} ${plot.py(0)}V${plot.py(v).toFixed(1)}`
      + `H${plot.px(low + (i + 1) * width).toFixed(1)}V${plot.py(0)}`).join("");
    plot.put(draw("path", { d: bars, fill: `var(--${colour})`, opacity: 0.75 }));
    const [mean, std] = one.range.slice(2);
    const bell = (x) => Math.exp(-0.5 * ((x - mean) / std) ** 2) / (std * Math.sqrt(2 * Math.PI));
    plot.line(Array.from({ length: 121 }, (_, i) => low + (i / 120) * (high - low)).map((x) => [x, bell(x)]),
      { colour: "ink", width: 1.4 });
    if (Math.max(...look) === 0) {
      plot.put(word("no sample is in sight", { x: WIDTH / 2 + 20, y: 40, "text-anchor": "middle" }));
    }
    return figure(words, plot.svg);
  }
  const pairs = look.map((v, i) => [low + (i / (look.length - 1)) * (high - low), v]);
  const y = one.view === "judge" ? [-0.04, 1.04] : top;
  const plot = makePlot({ x: [low, high], y, xTicks: ticks(low, high), yTicks: ticks(...y), xLabel,
    alt: `${words}: ${curveWords(look)}` });
  if (one.view === "critic") plot.line([[low, low], [high, high]], { colour: "ink", dash: "4 4", width: 1.1 });
  plot.line(pairs, LOOKS[kind]);
  return figure(words, plot.svg);
}

const VIEWS = { line: "Samples (bars) and data (line)", plane: "Samples; circles: the data", digits: "Sixteen samples",
  judge: "D\u2019s answer at x", critic: "The critic\u2019s score (dashed: slope 1)" };

function table(one, shown) {
  const head = make("tr", {}, make("th", { scope: "col" }, "At the end, seeds 0, 1, 2"),
    make("th", { scope: "col" }, "this run"), ...(shown ? [make("th", { scope: "col" }, "repaired")] : []));
  const cells = (kind, j) => make("td", {}, one.ends[kind].map((row) => short(row[j])).join(" \u00b7 "));
  const rows = one.figures.map((name, j) => make("tr", {}, make("th", { scope: "row" }, name.replace("_", " ")), cells(0, j),
    ...(shown ? [cells(1, j)] : [])));
  const box = make("div", { className: "scroll", role: "group", "aria-label": "Figures at the end", tabIndex: 0 },
    make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
  return box;
}

/** Text with `code` between backticks, as nodes. */
function rich(text) {
  return text.split("`").map((part, i) => (i % 2 ? make("code", {}, part) : part));
}

// ------------------------------------------------------------------------------ what is kept in this browser

function remembered() {
  try {
    return JSON.parse(localStorage.getItem(KEY));
  } catch {
    return null; // refused, or not ours
  }
}

function remember(answers) {
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...remembered(), ...answers }));
  } catch { /* refused: the answers last as long as the page */ }
}

function forget() {
  try {
    localStorage.removeItem(KEY);
  } catch { /* there was nothing to forget */ }
}

// ------------------------------------------------------------------------------ the demonstration

let copies = 0; // two clinics on a page need radio groups of their own

function render({ model, el }) {
  const { title, cases, runs, faults } = model.get("data");
  const root = frame(el, "gan-clinic", title, CSS);
  const group = `gan-clinic-${copies++}`;
  const save = throttled(() => model.save_changes(), 80);
  const set = (name, value) => { model.set(name, value); save(); };
  const at = () => Math.max(0, cases.findIndex(({ name }) => name === model.get("case")));

  const select = make("select", { "aria-label": "Case" });
  const back = make("button", { type: "button" }, "\u25c0 Previous");
  const next = make("button", { type: "button" }, "Next \u25b6");
  const score = make("span", { className: "num" });
  const reset = make("button", { type: "button" }, "Start again");
  const body = make("div", {});
  const live = make("div", { className: "unseen", "aria-live": "polite" });
  root.append(make("p", { className: "title" }, title), make("div", { className: "bar" }, back, select, next),
    make("p", { className: "score" }, score, reset), body, live);

  const move = (by) => {
    set("case", cases[(at() + by + cases.length) % cases.length].name);
    live.textContent = `Case ${at() + 1} of ${cases.length}: ${cases[at()].title}`;
  };
  back.addEventListener("click", () => move(-1));
  next.addEventListener("click", () => move(1));
  select.addEventListener("change", () => set("case", select.value));
  reset.addEventListener("click", () => {
    forget();
    set("answers", {});
    live.textContent = "Started again: nothing is answered.";
  });

  function answer(chosen) {
    const one = cases[at()];
    const answers = { ...model.get("answers"), [one.name]: chosen };
    remember({ [one.name]: chosen });
    set("answers", answers);
    const right = chosen === one.name;
    live.textContent = `${right ? "Right" : `No. It is: ${faults[one.name].fault}`}. ${one.reason.replaceAll("`", "")}`;
    body.querySelector(".verdict")?.focus();
  }

  function choices(one, chosen) {
    const field = make("fieldset", {}, make("legend", {}, "Which fault is it?"));
    const radios = one.choices.map((name) => {
      const radio = make("input", { type: "radio", name: group, value: name, checked: name === chosen,
        disabled: chosen !== undefined });
      const mark = chosen === undefined ? "" : name === one.name ? " \u2713 this is it" : name === chosen
        ? " \u2717 your choice" : "";
      field.append(make("label", { className: `choice${mark && (name === one.name ? " right" : " wrong")}` }, radio,
        make("span", {}, ...rich(faults[name].fault), ...(mark ? [make("span", { className: "mark" }, mark)] : []))));
      return radio;
    });
    if (chosen === undefined) {
      const button = make("button", { type: "button", disabled: true }, "Answer");
      for (const radio of radios) radio.addEventListener("change", () => { button.disabled = false; });
      button.addEventListener("click", () => answer(radios.find(({ checked }) => checked).value));
      field.append(button);
    }
    return field;
  }

  function verdict(one, chosen) {
    const right = chosen === one.name;
    const code = make("pre", {}, ...one.code.map((line) => make("span", {
      className: { "-": "out", "+": "in" }[line[0]] ?? "" }, line || " ")));
    return make("div", { className: "verdict", tabIndex: -1, role: "group", "aria-label": "The answer" },
      make("p", {}, make("strong", {}, right ? "\u2713 Right. " : "\u2717 No. "),
        ...rich(right ? one.reason : `With your choice: ${lower(faults[chosen].sign)}`)),
      ...(right ? [] : [make("p", {}, make("strong", {}, "It is this: "), ...rich(`${faults[one.name].fault}. `),
        ...rich(one.reason))]),
      make("p", { className: "soft" }, "The code that ran: \u2212 the sick line, + the repaired one."),
      make("div", { className: "scroll", role: "group", "aria-label": "The code before and after", tabIndex: 0 }, code),
      make("p", { className: "soft" }, "In the package, ", make("code", {}, one.caught),
        " fails if this fault slips in."));
  }

  const lower = (text) => text[0].toLowerCase() + text.slice(1);

  function show() {
    const [one, answers] = [cases[at()], model.get("answers")];
    const chosen = answers[one.name];
    const shown = chosen !== undefined;
    const sound = runs[one.sound];
    const { right, answered, of } = tally(cases, answers);
    select.replaceChildren(...cases.map(({ name, title: words }, i) => make("option", { value: name,
      selected: name === one.name, textContent: `${i + 1} \u00b7 ${words}${answers[name] === undefined ? ""
        : answers[name] === name ? " \u2713" : " \u2717"}` })));
    score.textContent = `${right} right of ${answered} answered; ${of} cases`;
    reset.hidden = !answered;
    const top = one.view === "line" ? Math.max(...[one.sick.look, sound.look].map((look) => Math.max(0, ...look)
      * one.sick.look.length / 4000 / (one.range[1] - one.range[0])), 0.42) * 1.08
      : one.view === "critic" ? limits([one.sick.look, sound.look], [-3, 6]) : 0;
    const keys = make("ul", { className: "keys" }, make("li", {}, key("b", ""), "this run"),
      ...(shown ? [make("li", {}, key("a", "7 4"), "repaired, same seed")] : []),
      ...(one.chance[0] === null ? [] : [make("li", {}, key("ink", "4 4", 1.4), "chance")]),
      ...(one.floor === null ? [] : [make("li", {}, key("ink", "1.5 3", 1.4), "what is right")]));
    const stopped = one.sick.stopped ? [make("p", {}, make("strong", {}, "The run stopped. "),
      make("code", {}, one.sick.stopped))] : [];
    const drawn = one.steps > 0 ? [lossPlot(one, sound, "D", shown),
      lossPlot(one, sound, "G", shown)] : [];
    body.replaceChildren(
      make("p", { className: "name" }, `Case ${at() + 1}: ${one.title}`),
      make("p", { className: "soft" }, one.task), make("p", {}, one.symptoms), ...stopped,
      make("div", { className: "stage" }, ...drawn, metricPlot(one, sound, shown)), keys,
      make("div", { className: "stage" }, samples(one, one.sick.look, "sick", VIEWS[one.view], top),
        ...(shown ? [samples(one, sound.look, "sound", "The repaired run", top)] : [])),
      table(one, shown), choices(one, chosen), ...(shown ? [verdict(one, chosen)] : []));
  }

  model.on("change:case change:answers", show);
  const kept = sane(remembered(), cases);
  if (!Object.keys(model.get("answers")).length && Object.keys(kept).length) set("answers", kept);
  show();
  return () => model.off("change:case change:answers", show);
}

export default { render };
