// The latent explorer: a trained generator under the reader's hand.
import { draw, frame, make, perFrame, prefersCalm, settled, throttled } from "./common.js";
import {
  between, chiCdf, chiDensity, dot, drag, lerp, loadGenerator, mix, norm, normals, paint, slerp, smallCanvas,
  whereInPrior,
} from "./generator.js";

export { chiCdf, chiDensity, lerp, loadGenerator, normals, slerp }; // for the tests

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
.gan-explorer .classes { display: grid; gap: .35rem;
  grid-template-columns: repeat(auto-fit, minmax(2.9rem, 1fr)); }
.gan-explorer .classes button { padding: .2rem; line-height: 1.2; text-align: center; }
.gan-explorer .classes button[aria-pressed=true] { border-color: var(--a); box-shadow: 0 0 0 2px var(--a);
  font-weight: 700; }
.gan-explorer .classes canvas { display: block; width: 100%; max-width: 3.2rem; margin: 0 auto .1rem;
  border-radius: .3rem; background: #000; }
.gan-explorer .classes + p { margin-bottom: .5rem; min-height: 1.45em; }
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
  const { network, directions, start, title, names, seed, classes } = model.get("data");
  const [shape, d] = [network.shape, network.latent_dim];
  const generate = loadGenerator(network);
  const random = normals(seed);
  const root = frame(el, "gan-explorer", title, CSS);
  const save = throttled(() => model.save_changes(), 80); // the kernel need not see every frame
  const z = () => model.get("z");
  const y = () => model.get("y"); // the weight of each class; none where G knows no classes
  const isWhole = (k) => Math.abs(y()[k] - 1) < 0.005;
  const only = (k) => classes.map((_, c) => Number(c === k));
  const along = (k) => dot(z(), directions[k]); // each coordinate is N(0, 1) under the prior
  const moved = (changes) => changes.reduce(
    (code, [k, value]) => mix(code, directions[k], 1, value - dot(code, directions[k])), z());

  let gliding = 0; // counts changes, so that a new one ends a glide under way
  function change(values) {
    gliding += 1;
    for (const [key, value] of Object.entries(values)) model.set(key, value);
    save();
  }
  function glide(goal, wanted = y()) {
    if (prefersCalm()) return change({ z: goal, y: wanted });
    const [from, was, begun, mine] = [z(), y(), performance.now(), gliding += 1];
    const step = (now) => {
      if (gliding !== mine) return;
      const t = Math.min(1, Math.max(0, now - begun) / GLIDE_MS);
      const eased = t * t * (3 - 2 * t);
      model.set("z", t === 1 ? goal : slerp(from, goal, eased));
      model.set("y", t === 1 ? wanted : lerp(was, wanted, eased));
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

  // One button for each class, with what it would make of the present code.
  const choices = classes.map((name, k) => {
    const canvas = smallCanvas(shape, 1, { "aria-hidden": true });
    const node = make("button", { type: "button", "aria-label": `class ${name}`,
      onclick: () => glide(z(), only(k)) }, canvas, name);
    return { k, node, pen: canvas.getContext("2d") };
  });
  const share = make("p", { className: "soft num" });
  const chosen = () => classes.flatMap((name, k) => {
    const weight = y()[k];
    if (Math.abs(weight) < 0.005) return [];
    return [isWhole(k) ? name : `${Math.round(100 * weight)} % of ${name}`];
  });

  // Two pinned codes and the path between them.
  const strip = smallCanvas(shape, PATH_STOPS, { className: "strip", "aria-hidden": true });
  const stripPen = strip.getContext("2d");
  const walk = make("input", { type: "range", min: 0, max: 1, step: 0.005,
    "aria-label": "Position on the path from A to B" });
  const mode = make("select", { "aria-label": "How to go from A to B" },
    make("option", { value: "slerp" }, "along the sphere (slerp)"),
    make("option", { value: "lerp" }, "straight through (lerp)"));
  const at = (t, how = model.get("mode")) => between(how, model.get("pin_a"), model.get("pin_b"), t);
  const mixed = (t) => lerp(model.get("y_a"), model.get("y_b"), t);
  const go = (t) => change({ t, z: at(t), y: mixed(t) });
  walk.addEventListener("input", () => go(Number(walk.value)));
  drag(strip, (event) => {
    const box = strip.getBoundingClientRect(); // the first and last picture's middles are A and B
    const t = (((event.clientX - box.left) / box.width) * PATH_STOPS - 0.5) / (PATH_STOPS - 1);
    go(Math.min(1, Math.max(0, t)));
  });
  mode.addEventListener("change", () => change({ mode: mode.value, z: at(model.get("t"), mode.value),
    y: mixed(model.get("t")) }));
  const tag = (letter) => make("span", { className: `tag ${letter}` }, letter.toUpperCase());
  const pin = (letter, t) => make("button", { type: "button",
    onclick: () => change({ [`pin_${letter}`]: z(), [`y_${letter}`]: y(), t }) }, "Pin ", tag(letter), " here");

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
          const { z: code, y: weights, ...rest } = start;
          change(rest);
          glide(code, weights);
        })),
      make("p", { className: "soft" }, `Drag on the picture, or use the arrow keys: across for ${
        names[0]}, up and down for ${names[1]}.`),
      make("div", { className: "gauge" }, gauge.svg, length)),
    make("div", { className: "right" },
      ...(classes.length ? [make("div", { className: "classes", role: "group", "aria-label": "Class" },
        ...choices.map((choice) => choice.node)), share] : []),
      ...sliders.map((slider) => slider.row),
      make("div", { className: "path" },
        make("p", { className: "soft" }, classes.length
          ? "A path between two codes and their classes: pin them, then walk."
          : "A path between two codes: pin them, then walk."),
        strip, make("div", { className: "walk" }, tag("a"), walk, tag("b")),
        make("div", { className: "row" }, pin("a", 0), pin("b", 1), mode)))), news);

  // Drawing. The picture comes first; the small ones follow, as many a frame as 3 ms allow.
  const smallPictures = [
    ...choices.map(({ k, pen: ink }) => () => paint(ink, generate(z(), only(k)), shape)),
    ...sliders.flatMap(({ k, ends }) => ends.map(({ reach, pen: ink }) =>
      () => paint(ink, generate(moved([[k, reach]]), y()), shape))),
  ];
  let stale = [];
  const catchUp = perFrame(() => {
    const until = performance.now() + 3;
    while (stale.length && performance.now() < until) {
      stale.shift()();
    }
    if (stale.length) catchUp();
  });
  const say = settled(() => {
    const said = classes.length ? `Class ${chosen().join(" and ")}. ` : "";
    news.textContent = `Picture changed. ${said}${sliders.slice(0, 2).map(({ k }) =>
      `${names[k]} ${signed(along(k))}`).join(", ")}. Code of length ${norm(z()).toFixed(1)}, ${
      whereInPrior(norm(z()), d)}.`;
  }, 600);
  const show = perFrame(() => {
    paint(pen, generate(z(), y()), shape);
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
    for (const { k, node } of choices) node.setAttribute("aria-pressed", isWhole(k));
    share.textContent = chosen().length === 1 ? `Class asked for: ${chosen()[0]}.`
      : `A mixture that no training example had: ${chosen().join(" + ")}.`;
    stale = [...smallPictures];
    catchUp();
  });
  const changed = () => { show(); say(); }; // nothing is said before something moves
  const showPath = perFrame(() => {
    const stops = Array.from({ length: PATH_STOPS }, (_, i) => at(i / (PATH_STOPS - 1)));
    stops.forEach((code, i) =>
      paint(stripPen, generate(code, mixed(i / (PATH_STOPS - 1))), shape, i * shape[2]));
    gauge.path(stops.map(norm));
    mode.value = model.get("mode");
  });
  const showStep = () => {
    walk.value = model.get("t");
    walk.setAttribute("aria-valuetext", `${Math.round(100 * model.get("t"))} % of the way from A to B`);
  };

  const bindings = [["z", changed], ["y", changed], ["t", showStep],
    ...["pin_a", "pin_b", "y_a", "y_b", "mode"].map((key) => [key, showPath])];
  for (const [key, fn] of bindings) model.on(`change:${key}`, fn);
  for (const fn of [show, showPath, showStep]) fn();

  root.explorer = { // for tests and for the curious, from the browser's console
    generate,
    /** Milliseconds for one picture, the median of `runs`. */
    benchmark(runs = 200) {
      const times = Array.from({ length: runs }, () => {
        const begun = performance.now();
        for (let i = 0; i < 10; i++) generate(Array.from({ length: d }, random), y());
        return (performance.now() - begun) / 10;
      });
      return times.sort((a, b) => a - b)[runs >> 1];
    },
  };
  return () => { for (const [key, fn] of bindings) model.off(`change:${key}`, fn); };
}

export default { render };
