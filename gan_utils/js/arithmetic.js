// The arithmetic board: three samples of a generator, and the picture of first - second + third.
import { frame, make, perFrame, settled, throttled } from "./common.js";
import { loadGenerator, mix, norm, paint, smallCanvas, whereInPrior } from "./generator.js";

// ------------------------------------------------------------------------------------- arithmetic

/** third + scale * (first - second) + what the sliders add, brought to the prior's length where asked for. */
export function combine({ codes, directions }, { slots, scale, push, at_prior: atPrior }) {
  const [first, second, third] = slots.map((k) => codes[k]);
  const moved = mix(third, mix(first, second, 1, -1), 1, scale);
  const z = push.reduce((code, amount, k) => mix(code, directions[k], 1, amount), moved);
  return atPrior ? z.map((v) => (v * Math.sqrt(z.length)) / norm(z)) : z;
}

// ---------------------------------------------------------------------------------------- the page

const SIGNS = ["", "\u2212", "+"]; // a true minus sign
const SAID = ["", "minus ", "plus "];
const FAR_ENOUGH = 5; // pixels before a press becomes a drag

const ARITHMETIC_CSS = `
.gan-arithmetic canvas { display: block; background: #000; border-radius: .3rem; width: 100%; }
.gan-arithmetic .sum { display: grid; gap: .4rem; align-items: center; margin-bottom: .8rem;
  grid-template-columns: minmax(0, 1fr) auto minmax(0, 1fr) auto minmax(0, 1fr) auto minmax(0, 1.6fr);
  max-width: 40rem; }
.gan-arithmetic .sum b { font-size: 1.3rem; text-align: center; }
.gan-arithmetic .slot, .gan-arithmetic .tile { padding: .25rem; min-height: 0; line-height: 1.15;
  text-align: center; font-size: .8em; overflow-wrap: anywhere; }
.gan-arithmetic .slot { padding: .25rem .1rem; font-size: .74em; }
.gan-arithmetic .slot[aria-pressed=true] { border-color: var(--a); box-shadow: 0 0 0 2px var(--a); }
.gan-arithmetic .slot.over { border-color: var(--b); box-shadow: 0 0 0 3px var(--b); }
.gan-arithmetic .parts { display: flex; flex-wrap: wrap; gap: .8rem 1.6rem; }
.gan-arithmetic .tray { flex: 2 1 17rem; min-width: 0; display: grid; gap: .3rem; align-content: start; }
.gan-arithmetic .tile { touch-action: none; cursor: grab; user-select: none; }
.gan-arithmetic .tile.used { border-color: var(--a); }
.gan-arithmetic .knobs { flex: 1 1 14rem; min-width: 0; display: flex; flex-direction: column; gap: .5rem; }
.gan-arithmetic .knobs label { display: block; font-size: .9em; }
.gan-arithmetic .knobs label.check { display: flex; gap: .5rem; align-items: center; min-height: 2rem; }
.gan-arithmetic .knobs label.check input { width: 1.2rem; height: 1.2rem; flex: none; }
.gan-arithmetic .knobs .name { display: flex; justify-content: space-between; }
.gan-arithmetic .ghost { position: fixed; width: 56px; height: 56px; margin: -28px 0 0 -28px; opacity: .85;
  pointer-events: none; z-index: 9; }
`;

const two = (v) => v.toFixed(2).replace("-", "\u2212");

function render({ model, el }) {
  const data = model.get("data");
  const { network, codes, names, columns, directions, direction_names: directionNames, reach, start, title } = data;
  const { shape } = network;
  const generate = loadGenerator(network);
  const root = frame(el, "gan-arithmetic", title, ARITHMETIC_CSS);
  const save = throttled(() => model.save_changes(), 80);
  const state = () => Object.fromEntries(Object.keys(start).map((key) => [key, model.get(key)]));
  const change = (values) => {
    for (const [key, value] of Object.entries(values)) model.set(key, value);
    save();
  };
  let active = 0; // the slot that the next choice fills

  const put = (slot, k) => {
    active = (slot + 1) % 3;
    change({ slots: model.get("slots").map((old, i) => (i === slot ? k : old)) });
    show(); // the mark of the active slot moves even where the sample is the same
  };

  // The sum: three slots and the result.
  const slots = SIGNS.map((_, i) => {
    const canvas = smallCanvas(shape, 1, { "aria-hidden": true });
    const name = make("span", {});
    const node = make("button", { type: "button", className: "slot",
      onclick: () => { active = i; show(); } }, canvas, name);
    return { node, name, pen: canvas.getContext("2d") };
  });
  const small = smallCanvas(shape);
  const pen = small.getContext("2d");
  const screen = make("canvas", { width: shape[2] * 8, height: shape[1] * 8, role: "img" });
  const big = screen.getContext("2d");
  big.imageSmoothingQuality = "high";
  const cell = (text) => make("b", { "aria-hidden": true }, text);
  const sum = make("div", { className: "sum" }, slots[0].node, cell(SIGNS[1]), slots[1].node, cell(SIGNS[2]),
    slots[2].node, cell("="), screen);

  // The tray: choose with a click or Enter, or drag onto a slot; arrow keys move among the tiles.
  const tiles = codes.map((_, k) => {
    const canvas = smallCanvas(shape, 1, { "aria-hidden": true });
    const node = make("button", { type: "button", className: "tile", tabIndex: k ? -1 : 0 },
      canvas, make("span", { className: "unseen" }, names[k]));
    node.title = names[k];
    node.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
      const next = tiles[by === undefined ? { Home: 0, End: tiles.length - 1 }[event.key] : k + by];
      if (!next || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      node.tabIndex = -1;
      next.node.tabIndex = 0;
      next.node.focus();
    });
    return { node, canvas, pen: canvas.getContext("2d") };
  });
  tiles.forEach(({ node, canvas }, k) => dragAndDrop(node, canvas, slots.map((slot) => slot.node),
    (slot) => put(slot ?? active, k)));
  const tray = make("div", { className: "tray", role: "group", "aria-label": "Samples to choose from" },
    ...tiles.map((tile) => tile.node));
  tray.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 3.4rem))`;

  // The knobs.
  const knob = (label, low, high, get, set) => {
    const value = make("output", {});
    const input = make("input", { type: "range", min: low, max: high, step: 0.02, "aria-label": label });
    input.addEventListener("input", () => set(Number(input.value)));
    return { input, value, get, node: make("label", {},
      make("span", { className: "name" }, make("span", {}, label), value), input) };
  };
  const knobs = [
    knob("share of the difference", 0, 2, () => model.get("scale"), (v) => change({ scale: v })),
    ...directionNames.map((name, k) => knob(name, -reach, reach, () => model.get("push")[k],
      (v) => change({ push: model.get("push").map((old, i) => (i === k ? v : old)) }))),
  ];
  const check = make("input", { type: "checkbox" });
  check.addEventListener("change", () => change({ at_prior: check.checked }));
  const length = make("p", { className: "soft num" });
  const news = make("p", { className: "unseen", "aria-live": "polite" });
  root.append(make("p", { className: "title" }, title), sum, make("div", { className: "parts" }, tray,
    make("div", { className: "knobs" }, ...knobs.map((one) => one.node),
      make("label", { className: "check" }, check, "bring the result to the prior's length"),
      length, make("div", { className: "row" },
        make("button", { type: "button", onclick: () => { active = 0; change(start); show(); } }, "Reset")),
      make("p", { className: "soft" }, "Drag a sample onto one of the three places, or mark a place and "
        + "choose a sample: with a click, or with the arrow keys and Enter."))), news);

  const words = () => model.get("slots").map((k, i) => SAID[i] + names[k]).join(" ");
  const say = settled(() => { news.textContent = `${words()}: ${length.textContent}`; }, 600);
  const show = perFrame(() => {
    const z = combine(data, state());
    paint(pen, generate(z), shape);
    big.drawImage(small, 0, 0, screen.width, screen.height);
    screen.setAttribute("aria-label", `The picture of ${words()}`);
    slots.forEach(({ node, name, pen: ink }, i) => {
      const k = model.get("slots")[i];
      ink.drawImage(tiles[k].canvas, 0, 0);
      name.textContent = names[k];
      node.setAttribute("aria-label", `Place ${i + 1}, ${SAID[i]}${names[k]}`);
      node.setAttribute("aria-pressed", i === active);
    });
    tiles.forEach(({ node }, k) => node.classList.toggle("used", model.get("slots").includes(k)));
    for (const { input, value, get } of knobs) {
      input.value = get();
      value.textContent = two(get());
    }
    check.checked = model.get("at_prior");
    length.textContent = `The code of the result has length ${norm(z).toFixed(1)}: ${
      whereInPrior(norm(z), z.length)}.`;
  });
  const changed = () => { show(); say(); }; // nothing is said before something moves
  codes.forEach((code, k) => paint(tiles[k].pen, generate(code), shape));
  for (const key of Object.keys(start)) model.on(`change:${key}`, changed);
  show();

  root.arithmetic = { // for tests and for the curious
    /** Milliseconds for one result, the median of `runs`. */
    benchmark(runs = 100) {
      const times = Array.from({ length: runs }, () => {
        const begun = performance.now();
        paint(pen, generate(combine(data, state())), shape);
        return performance.now() - begun;
      });
      return times.sort((a, b) => a - b)[runs >> 1];
    },
  };
  return () => { for (const key of Object.keys(start)) model.off(`change:${key}`, changed); };
}

/** A press without movement is a click: fn(); a drag that ends over the i-th target: fn(i). */
function dragAndDrop(node, picture, targets, fn) {
  let ghost = null;
  let begun = null;
  const under = ({ clientX, clientY }) => targets.findIndex((target) => {
    const box = target.getBoundingClientRect();
    return clientX >= box.left && clientX <= box.right && clientY >= box.top && clientY <= box.bottom;
  });
  const mark = (hit) => targets.forEach((target, i) => target.classList.toggle("over", i === hit));
  const end = () => { ghost?.remove(); ghost = begun = null; mark(-1); };
  node.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    node.setPointerCapture(event.pointerId);
    begun = event;
  });
  node.addEventListener("pointermove", (event) => {
    if (!begun) return;
    const far = Math.hypot(event.clientX - begun.clientX, event.clientY - begun.clientY);
    if (!ghost && far > FAR_ENOUGH) {
      ghost = make("canvas", { width: picture.width, height: picture.height, className: "ghost" });
      ghost.getContext("2d").drawImage(picture, 0, 0);
      node.closest(".gan-demo").append(ghost);
    }
    if (!ghost) return;
    ghost.style.left = `${event.clientX}px`;
    ghost.style.top = `${event.clientY}px`;
    mark(under(event));
  });
  let dragged = false;
  node.addEventListener("pointerup", (event) => {
    dragged = ghost !== null;
    const hit = dragged ? under(event) : -1;
    end();
    if (hit >= 0) fn(hit);
  });
  node.addEventListener("pointercancel", end);
  node.addEventListener("click", () => { // from the keyboard too; the click that ends a drag is none
    if (!dragged) fn();
    dragged = false;
  });
}

export default { render };
