// The laboratory's networks: drawn with what each unit answers, unfolded from noise to fakes, kept in a file.
import { MOST_POINTS, REACH, rgb } from "./board.js";
import { draw, make, prefersCalm } from "./common.js";
import { countWeights, forward, makeTape, readWeights, sizesOf } from "./gan.js";

// ------------------------------------------------------------------- what the driver says of the networks

/**
 * Both networks with the answers of all their units over the plane of their first two inputs, the other inputs at
 * 0; for D of packs, at its first partner among the fakes. `maps` has a layer's units one after the other, each
 * `side` rows of `side` from the top left; of an input on the line, one row.
 */
export function mapNetworks(gan, fakes) {
  const { settings, law } = gan;
  const side = 12;
  const map = (net, dim, reach, others) => {
    const rows = dim === 1 ? 1 : side;
    const count = rows * side;
    const tape = makeTape(net, count);
    const wide = net.sizes[0];
    for (let p = 0; p < count; p++) {
      const place = [(2 * (p % side)) / (side - 1) - 1, 1 - (2 * Math.floor(p / side)) / (side - 1)].slice(0, dim);
      const input = [...place.map((v) => reach * v), ...others.slice(0, wide - place.length)];
      for (let i = 0; i < wide; i++) tape.h[0][p * wide + i] = input[i] ?? 0;
    }
    forward(net, tape, count);
    const maps = tape.h.map((h, l) => {
      const units = new Float32Array(count * net.sizes[l]);
      for (let u = 0, k = 0; u < net.sizes[l]; u++) {
        for (let p = 0; p < count; p++, k++) units[k] = h[p * net.sizes[l] + u];
      }
      return units;
    });
    return { sizes: net.sizes, theta: Float32Array.from(net.theta), maps, rows, side };
  };
  const far = settings.noise === "uniform" ? 1 : 2.2;
  return { G: map(gan.G, settings.latent_dim, far, []),
    D: map(gan.D, law.dim, law.dim === 1 ? 4 : 1.6, Array.from(fakes.subarray(0, 2))) };
}

/**
 * Where codes lie on the board before G has moved them: their first numbers, in the plane stretched or shrunk so
 * that the net of noise fills it. Codes of one number lie on a horizontal line.
 */
export function placeCodes(codes, latent, dim, noise) {
  const scale = dim === 1 ? 1 : 1.4 / (noise === "uniform" ? 1 : 2.2);
  return Float32Array.from({ length: (codes.length / latent) * dim }, (_, k) => {
    const [s, i] = [Math.floor(k / dim), k % dim];
    return i < latent ? scale * codes[s * latent + i] : 0;
  });
}

// ---------------------------------------------------------------------------------------------- unfolding

/** A frame as it is shown at `t` of the way from noise (0) to fakes (1): all points on straight lines. */
export function unfoldFrame(state, t) {
  if (!state?.start || t >= 1) return state;
  const along = (from, to) => to?.map((v, k) => (1 - t) * from[k] + t * v);
  return { ...state, fakes: along(state.start.fakes, state.fakes), web: along(state.start.web, state.web), pull: null };
}

/** Slider and button that lead from noise to fakes; `set(t)` is told each place. */
export function makeUnfolder(set) {
  let timer = null;
  let now = 1;
  const slider = make("input", { type: "range", min: 0, max: 1, step: 0.01, oninput: () => {
    stop();
    set(Number(slider.value));
  } });
  const play = make("button", { type: "button", onclick: () => (timer ? stop() : start()) });
  const told = make("output");
  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "\u25b6 Unfold";
  }
  function start() { // whoever wants calm sees five still pictures
    const [every, step] = prefersCalm() ? [700, 0.25] : [30, 0.01];
    if (now >= 1) set(0);
    timer = setInterval(() => {
      if (now >= 1) stop();
      else set(Math.min(1, Math.round((now + step) * 100) / 100));
    }, every);
    play.textContent = "\u275a\u275a Stop";
  }
  stop();
  return {
    body: make("div", { className: "unfold" }, play, make("label", {}, "From noise to fakes", slider, told)),
    stop,
    show(t) {
      now = t;
      slider.value = t;
      told.textContent = t >= 1 ? "fakes" : t <= 0 ? "noise" : `${Math.round(100 * t)} %`;
      slider.setAttribute("aria-valuetext", told.textContent);
    },
  };
}

// --------------------------------------------------------------------------------------- networks in a file

const KIND = "gan-laboratory";

export const writeFile = (settings, drawn, { step, g, d }) =>
  `${JSON.stringify({ kind: KIND, settings, drawn: settings.data === "drawn" ? drawn : [], step, g, d })}\n`;

/** What a file holds, { settings, drawn, step, g, d }; or an error that says in one line what is wrong with it. */
export function readFile(text, fields, dimOf) {
  const refuse = (reason) => { throw new Error(`Not loaded: ${reason}.`); };
  let file = null;
  try {
    file = JSON.parse(text);
  } catch {
    refuse("this is no JSON; choose a file that \u201cKeep these networks\u201d made");
  }
  if (file?.kind !== KIND) refuse("this is not from the laboratory; choose a file that \u201cKeep these networks\u201d made");
  const { settings, drawn, step, g, d } = file;
  const seed = settings?.seed;
  if (!Number.isInteger(seed) || seed < 0 || seed >= 1e6) refuse(`seed is ${seed}, a whole number from 0 to 999999 needed`);
  for (const { key, choices } of fields) {
    if (!choices.some(([value]) => value === settings[key])) {
      refuse(`${key} is ${JSON.stringify(settings[key])}, one of ${choices.map(([v]) => v).join(", ")} needed`);
    }
  }
  if (!Number.isInteger(step) || step < 0) refuse(`step is ${JSON.stringify(step)}, a whole number needed`);
  const inPlane = (p) => Array.isArray(p) && p.length === 2 && p.every((v) => typeof v === "number" && Math.abs(v) <= REACH);
  if (!Array.isArray(drawn) || drawn.length > MOST_POINTS || !drawn.every(inPlane)) {
    refuse(`drawn must be at most ${MOST_POINTS} points [x, y] within ${REACH} of 0`);
  }
  const sizes = sizesOf(settings, dimOf(settings.data));
  for (const [name, weights] of Object.entries({ g, d })) {
    const needed = countWeights(sizes[name]);
    const numbers = tryReadWeights(weights);
    if (numbers?.length !== needed) {
      const given = `${name.toUpperCase()} has ${numbers?.length ?? "no"} weights`;
      refuse(`${given}, ${needed} needed for layers of ${sizes[name].join(", ")}`);
    }
    if (!numbers.every(Number.isFinite)) refuse(`${name.toUpperCase()} has a weight that is no number`);
  }
  const known = Object.fromEntries(["seed", ...fields.map(({ key }) => key)].map((key) => [key, settings[key]]));
  return { settings: known, drawn, step, g, d };
}

function tryReadWeights(text) {
  try {
    return readWeights(text);
  } catch {
    return null;
  }
}

// -------------------------------------------------------------------------------------- the picture of a net

export const NETWORKS_CSS = `
.gan-laboratory .unfold { display: flex; flex-wrap: wrap; gap: .3rem .8rem; align-items: center; margin-top: .4rem;
  font-size: .9em; }
.gan-laboratory .unfold[hidden] { display: none; }
.gan-laboratory .unfold label { flex: 1 1 19rem; display: flex; gap: .6rem; align-items: center; margin: 0; white-space: nowrap; }
.gan-laboratory .unfold button { min-width: 6rem; }
.gan-laboratory .unfold output { flex: none; width: 2.6rem; }
.gan-laboratory .nets > div { display: grid; gap: .8rem 1.4rem;
  grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); }
.gan-laboratory .nets canvas { display: block; width: 100%; border: 2px solid var(--line); border-radius: .5rem; }
.gan-laboratory .nets .at-work canvas { border-color: var(--a); }
.gan-laboratory .nets figcaption span { margin-left: auto; }
.gan-laboratory .nets .at-work figcaption span { padding: 0 .5rem; border-radius: .4rem; background: var(--a); color: var(--paper); }
.gan-laboratory .nets .key { grid-column: 1 / -1; }
.gan-laboratory .nets .key svg { width: 2.2rem; height: .7rem; vertical-align: middle; }
`;

const [NET_WIDE, NET_HIGH] = [880, 470]; // pixels of a picture
const MOST_LINES = 240; // of one layer

/** Where the units of each layer stand: layers from left to right, those of many units in several columns. */
export function placeUnits(sizes) {
  const plan = (tall) => { // at most `tall` units above one another
    const columns = sizes.map((n) => Math.ceil(n / tall));
    const rows = sizes.map((n, l) => Math.ceil(n / columns[l]));
    const all = columns.reduce((a, b) => a + b);
    return { columns, rows, pitch: Math.min(56, (NET_HIGH - 60) / Math.max(...rows), (0.6 * NET_WIDE) / all) };
  };
  const { columns, rows, pitch } = [8, 16].map(plan).sort((a, b) => b.pitch - a.pitch)[0];
  const gap = (NET_WIDE - 32 - pitch * columns.reduce((a, b) => a + b)) / (sizes.length - 1);
  let left = 16;
  return sizes.map((n, l) => {
    const top = (NET_HIGH - 34 - pitch * rows[l]) / 2;
    const units = Array.from({ length: n }, (_, u) => [left + pitch * Math.floor(u / rows[l]), top + pitch * (u % rows[l])]);
    const layer = { units, size: 0.86 * pitch, left, right: left + pitch * columns[l] };
    left = layer.right + gap;
    return layer;
  });
}

/** The weights of layer l (out, in) that are worth a line: the largest, as [from, to, weight], the largest last. */
export function strongest(theta, sizes, l, most = MOST_LINES) {
  const begin = countWeights(sizes.slice(0, l + 1));
  const wide = sizes[l];
  const lines = Array.from({ length: wide * sizes[l + 1] }, (_, k) => [k % wide, Math.floor(k / wide), theta[begin + k]]);
  return lines.sort((a, b) => Math.abs(a[2]) - Math.abs(b[2])).slice(-most);
}

function paintLines(pen, { sizes, theta }, layers, colours) {
  for (let l = 0; l + 1 < sizes.length; l++) {
    const lines = strongest(theta, sizes, l);
    const top = Math.abs(lines.at(-1)[2]) || 1;
    const [half, fromRight] = [layers[l].size / 2, layers[l].size];
    const thick = Math.min(5, layers[l].size / 8);
    for (const [from, to, weight] of lines) {
      const share = Math.abs(weight) / top;
      const [[x, y], [u, v]] = [layers[l].units[from], layers[l + 1].units[to]];
      Object.assign(pen, { strokeStyle: weight > 0 ? colours.a : colours.b, lineWidth: 0.5 + thick * share,
        globalAlpha: 0.15 + 0.75 * share });
      pen.setLineDash(weight > 0 ? [] : [9, 5]);
      pen.beginPath();
      pen.moveTo(x + fromRight, y + half);
      pen.lineTo(u, v + layers[l + 1].size / 2);
      pen.stroke();
    }
  }
  pen.setLineDash([]);
  pen.globalAlpha = 1;
}

/** All cells of one layer: the answers of its units, in shares of the largest answer of the layer. */
function paintUnits(pen, net, l, layer, colours, sheet) {
  const { maps, side, rows, sizes } = net;
  const [paper, blue, orange] = [colours.paper, colours.a, colours.b].map(rgb);
  const largest = maps[l].reduce((most, v) => Math.max(most, Math.abs(v)), 0) || 1;
  Object.assign(sheet, { width: side, height: rows * sizes[l] });
  const image = new ImageData(side, rows * sizes[l]);
  maps[l].forEach((v, k) => {
    const [tint, much] = [v > 0 ? blue : orange, 0.9 * (Math.abs(v) / largest) ** 0.8];
    for (let i = 0; i < 3; i++) image.data[4 * k + i] = paper[i] + (tint[i] - paper[i]) * much;
    image.data[4 * k + 3] = 255;
  });
  sheet.getContext("2d").putImageData(image, 0, 0);
  pen.strokeStyle = colours.line;
  pen.lineWidth = 1.5;
  layer.units.forEach(([x, y], u) => {
    pen.drawImage(sheet, 0, u * rows, side, rows, x, y, layer.size, layer.size);
    pen.strokeRect(x, y, layer.size, layer.size);
  });
}

/** One network; `lit` are the layers that the light of slow motion stands on. */
function paintNetwork(canvas, net, colours, names, lit, sheet) {
  const pen = canvas.getContext("2d");
  const layers = placeUnits(net.sizes);
  pen.fillStyle = colours.paper;
  pen.fillRect(0, 0, NET_WIDE, NET_HIGH);
  paintLines(pen, net, layers, colours);
  const letter = Math.min(30, (13 * NET_WIDE) / (canvas.clientWidth || NET_WIDE)); // 13 pixels on the screen
  pen.font = `${letter}px system-ui, sans-serif`;
  layers.forEach((layer, l) => {
    paintUnits(pen, net, l, layer, colours, sheet);
    const last = l === layers.length - 1;
    pen.textAlign = l === 0 ? "left" : last ? "right" : "center";
    pen.fillStyle = colours.ink;
    const words = l === 0 ? names[0] : last ? names[1] : String(net.sizes[l]);
    pen.fillText(words, l === 0 ? 8 : last ? NET_WIDE - 8 : (layer.left + layer.right) / 2, NET_HIGH - 10);
    if (!lit.includes(l)) return;
    Object.assign(pen, { strokeStyle: colours.ink, lineWidth: 4 });
    const [tops, pad] = [layer.units.map(([, y]) => y), 5];
    pen.strokeRect(layer.left - pad, Math.min(...tops) - pad, layer.right - layer.left + pad,
      Math.max(...tops) - Math.min(...tops) + layer.size + 2 * pad);
  });
}

/** "layers of 2, 16, 16, 2 units; 354 weights, the largest 1.9, their norm 9.4". */
export function netInWords({ sizes, theta }, short) {
  const largest = theta.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  return `layers of ${sizes.join(", ")} units; ${theta.length} weights and biases, the largest ${short(largest)}, norm ${
    short(Math.hypot(...theta))}`;
}

const SWEEP = 1300; // milliseconds that the light takes through a network

/** The layers in the light after `share` of its way; whoever wants calm sees all of them lit. */
function litLayers(count, share, way) {
  const all = Array.from({ length: count }, (_, l) => l);
  const at = Math.floor(share * count);
  return prefersCalm() ? all : share >= 1 ? [] : [way > 0 ? at : count - 1 - at];
}

/** A figure for one network: its picture, what happens to it, and the words that say what the picture shows. */
function makeView(title, names) {
  const canvas = make("canvas", { role: "img", width: NET_WIDE, height: NET_HIGH });
  const [badge, words] = [make("span"), make("p", { className: "soft" })];
  const box = make("figure", {}, make("figcaption", {}, make("b", {}, title), badge), canvas, words);
  function tell(text) {
    words.textContent = `${text[0].toUpperCase()}${text.slice(1)}.`;
    canvas.setAttribute("aria-label", `${title}: ${text}.`);
  }
  return { canvas, badge, box, names, tell };
}

/** How to read the pictures. */
function makeKey() {
  const sample = (colour, dash) => draw("svg", { viewBox: "0 0 34 10", "aria-hidden": true },
    draw("line", { x1: 0, x2: 34, y1: 5, y2: 5, stroke: colour, "stroke-width": 3, "stroke-dasharray": dash }));
  return make("p", { className: "soft key" }, "Each cell is a unit: what it answers, over the plane of inputs, blue above 0 "
    + "and orange below. Each line is a weight, thicker the larger: above 0 ", sample("var(--a)", ""), ", below 0 ",
  sample("var(--b)", "7 4"), `, the ${MOST_LINES} largest of a layer. In slow motion a frame goes from layer to layer: `
    + "forwards when a network answers, backwards when slopes go through it.");
}

/** The fold with both networks. `onToggle` is told when it opens or closes; `short` writes a number. */
export function makeNetworks(onToggle, short) {
  const sheet = make("canvas");
  const views = { G: makeView("G, from noise to fakes", ["noise", "fake"]),
    D: makeView("D, from a sample to its answer", ["sample", "answer"]) };
  const body = make("details", { className: "setup nets hide", ontoggle: onToggle },
    make("summary", {}, "Look inside: both networks, drawn"),
    make("div", {}, views.G.box, views.D.box, makeKey()));
  let [nets, colours, sweep, timer] = [null, null, null, 0];
  function paint() {
    if (!nets || !body.open) return;
    const share = sweep ? (performance.now() - sweep.begun) / SWEEP : 1;
    for (const [who, { canvas, names }] of Object.entries(views)) {
      const lit = sweep?.who === who ? litLayers(nets[who].sizes.length, share, sweep.way) : [];
      paintNetwork(canvas, nets[who], colours, names, lit, sheet);
    }
    cancelAnimationFrame(timer);
    if (share < 1 && !prefersCalm()) timer = requestAnimationFrame(paint);
  }
  return {
    body,
    isOpen: () => body.open,
    /** What a frame of the driver says of the networks, in these colours. */
    show(found, inColours) {
      [nets, colours] = [found, inColours];
      for (const [who, view] of Object.entries(views)) view.tell(netInWords(found[who], short));
      paint();
    },
    /** What happens in a phase of slow motion: { who, way, say }, or null for nothing. */
    light(work) {
      sweep = work && { ...work, begun: performance.now() };
      for (const [who, { badge, box }] of Object.entries(views)) {
        box.classList.toggle("at-work", work?.who === who);
        badge.textContent = work?.who === who ? work.say : "";
      }
      paint();
    },
    close: () => cancelAnimationFrame(timer),
  };
}
