// The laboratory's board: data, fakes, D's answer and its pull, painted in the plane or on the line.

export const REACH = 1.6; // the plane that is shown, to each side
export const MOST_POINTS = 400; // that can be drawn in it
export const WIDE = 920; // pixels of the board, whatever its size on the screen
export const px = (v) => ((v + REACH) / (2 * REACH)) * WIDE; // in the plane
const PULL = { 1: 0.6, 2: 0.22 }; // length in data units of a pull of 1

/** D's raw answers as 0 (fake) to 1 (real), and which raw answer means "cannot tell", if any does. */
function believe(loss, answers) {
  if (loss === "non_saturating" || loss === "minimax") {
    return { level: 0, share: Array.from(answers, (v) => 1 / (1 + Math.exp(-v))) };
  }
  if (loss === "least_squares") return { level: 0.5, share: Array.from(answers, (v) => Math.min(1, Math.max(0, v))) };
  const [low, high] = [Math.min(...answers), Math.max(...answers)];
  return { level: loss === "hinge" ? 0 : null, share: Array.from(answers, (v) => (v - low) / (high - low || 1)) };
}

export const rgb = (hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));

function arrow(pen, x, y, dx, dy) {
  const length = Math.hypot(dx, dy);
  if (length < 1.5) return;
  const head = Math.min(11, 0.5 * length + 3);
  const [ux, uy] = [dx / length, dy / length];
  pen.beginPath();
  pen.moveTo(x, y);
  pen.lineTo(x + dx, y + dy);
  pen.moveTo(x + dx - head * (ux + 0.5 * uy), y + dy - head * (uy - 0.5 * ux));
  pen.lineTo(x + dx, y + dy);
  pen.lineTo(x + dx - head * (ux - 0.5 * uy), y + dy - head * (uy + 0.5 * ux));
  pen.stroke();
}

function triangle(pen, x, y, size) {
  pen.beginPath();
  pen.moveTo(x, y - size);
  pen.lineTo(x + 0.9 * size, y + 0.7 * size);
  pen.lineTo(x - 0.9 * size, y + 0.7 * size);
  pen.closePath();
  pen.fill();
  pen.stroke();
}

export function paintPlane(pen, { real, state, layers, colours, settings, sheet }) {
  const py = (y) => px(-y);
  const edge = (v) => Math.min(REACH - 0.02, Math.max(0.02 - REACH, v)); // who has left is seen at the edge
  if (layers.surface && state?.surface) {
    const side = Math.sqrt(state.surface.length);
    const { level, share } = believe(settings.loss, state.surface);
    const [paper, blue, orange] = [colours.paper, colours.a, colours.b].map(rgb);
    sheet.width = sheet.height = side;
    const small = sheet.getContext("2d");
    const image = small.createImageData(side, side);
    share.forEach((t, k) => {
      const [tint, much] = [t > 0.5 ? blue : orange, 0.6 * Math.abs(2 * t - 1) ** 0.8];
      for (let i = 0; i < 3; i++) image.data[4 * k + i] = paper[i] + (tint[i] - paper[i]) * much;
      image.data[4 * k + 3] = 255;
    });
    small.putImageData(image, 0, 0);
    pen.imageSmoothingQuality = "high";
    const cell = WIDE / (side - 1); // a value belongs to the middle of its pixel
    pen.drawImage(sheet, -cell / 2, -cell / 2, WIDE + cell, WIDE + cell);
    if (level !== null) contour(pen, state.surface, side, level, cell, colours.ink);
  }
  if (layers.real) {
    pen.strokeStyle = colours.a;
    pen.lineWidth = 2.6;
    for (let s = 0; s < 300; s++) {
      pen.beginPath();
      pen.arc(px(real[2 * s]), py(real[2 * s + 1]), 6, 0, 7);
      pen.stroke();
    }
  }
  if (layers.web && state?.web) {
    pen.strokeStyle = colours.d;
    pen.lineWidth = 2.2;
    for (let k = 0; k < state.web.length / 2; k += 41) {
      pen.beginPath();
      for (let j = k; j < k + 41; j++) pen.lineTo(px(state.web[2 * j]), py(state.web[2 * j + 1]));
      pen.stroke();
    }
  }
  const fakes = state?.fakes ?? [];
  if (layers.pull && state?.pull) {
    pen.strokeStyle = colours.ink;
    pen.lineWidth = 2;
    for (let s = 0; s < Math.min(state.pull.length / 2, 64); s++) {
      let [dx, dy] = [state.pull[2 * s], state.pull[2 * s + 1]];
      const long = Math.max(1, (PULL[2] * Math.hypot(dx, dy)) / 0.5); // none longer than half a unit
      [dx, dy] = [(PULL[2] * dx) / long, (PULL[2] * dy) / long];
      arrow(pen, px(edge(fakes[2 * s])), py(edge(fakes[2 * s + 1])), px(dx) - px(0), py(dy) - py(0));
    }
  }
  if (layers.fake) {
    pen.fillStyle = colours.b;
    pen.strokeStyle = colours.paper;
    pen.lineWidth = 1.5;
    for (let s = 0; s < fakes.length / 2; s++) triangle(pen, px(edge(fakes[2 * s])), py(edge(fakes[2 * s + 1])), 8);
  }
}

/** The line where D cannot tell, by marching squares: one piece for each pair of sides that it crosses. */
function contour(pen, values, side, level, cell, colour) {
  pen.strokeStyle = colour;
  pen.lineWidth = 2;
  pen.setLineDash([9, 7]);
  pen.beginPath();
  for (let r = 0; r + 1 < side; r++) {
    for (let c = 0; c + 1 < side; c++) {
      const corners = [[r, c], [r, c + 1], [r + 1, c + 1], [r + 1, c]];
      const crossings = [];
      corners.forEach(([y, x], k) => {
        const [v, w] = [corners[(k + 1) % 4]];
        const [one, two] = [values[y * side + x] - level, values[v[0] * side + v[1]] - level];
        if ((one > 0) === (two > 0)) return;
        const t = one / (one - two);
        crossings.push([(x + t * (v[1] - x)) * cell, (y + t * (v[0] - y)) * cell]);
      });
      for (let k = 0; k + 1 < crossings.length; k += 2) {
        pen.moveTo(...crossings[k]);
        pen.lineTo(...crossings[k + 1]);
      }
    }
  }
  pen.stroke();
  pen.setLineDash([]);
}

export function paintLine(pen, { law, state, layers, colours, settings }) {
  const [reach, tall, floor, left] = [4, WIDE * 0.75, WIDE * 0.53, 0];
  const px = (x) => left + ((x + reach) / (2 * reach)) * WIDE;
  const density = (x) => law.centres.reduce((sum, [c]) => sum + Math.exp(-(((x - c) / law.std) ** 2) / 2), 0)
    / (law.centres.length * law.std * Math.sqrt(2 * Math.PI));
  const places = Array.from({ length: 201 }, (_, k) => -reach + (2 * reach * k) / 200);
  const peak = Math.max(...places.map(density)) * 1.5;
  const py = (d) => floor - 20 - (floor - 50) * Math.min(1, d / peak);
  const bottom = py(0);
  const fakes = state?.fakes ?? [];
  const path = (points) => {
    pen.beginPath();
    points.forEach(([x, y]) => pen.lineTo(x, y));
  };
  if (layers.fake && fakes.length) {
    const cells = 40;
    const shares = new Float64Array(cells);
    for (const x of fakes) shares[Math.min(cells - 1, Math.max(0, Math.floor(((x + reach) / (2 * reach)) * cells)))] += 1;
    pen.fillStyle = colours.b;
    pen.globalAlpha = 0.55;
    const width = WIDE / cells;
    shares.forEach((n, k) => {
      const y = py((n / fakes.length) * (cells / (2 * reach)));
      pen.fillRect(k * width + 1, y, width - 2, bottom - y);
    });
    pen.globalAlpha = 1;
  }
  if (layers.real) {
    pen.strokeStyle = colours.a;
    pen.lineWidth = 5;
    path(places.map((x) => [px(x), py(density(x))]));
    pen.stroke();
  }
  pen.font = "22px system-ui, sans-serif";
  if (layers.surface && state?.surface) {
    const { level, share } = believe(settings.loss, state.surface);
    const [top, low] = [40, bottom];
    const sy = (t) => low - t * (low - top);
    pen.strokeStyle = colours.ink;
    pen.lineWidth = 3;
    pen.setLineDash([12, 8]);
    path(share.map((t, k) => [(k / (share.length - 1)) * WIDE, sy(t)]));
    pen.stroke();
    pen.setLineDash([2, 7]);
    if (level !== null && settings.loss !== "hinge") {
      path([[0, sy(0.5)], [WIDE, sy(0.5)]]);
      pen.stroke();
    }
    pen.setLineDash([]);
    pen.fillStyle = colours.ink;
    pen.textAlign = "right";
    pen.fillText(level === null || settings.loss === "hinge" ? "D: highest" : "D: real", WIDE - 8, top - 10);
    pen.fillText(level === null || settings.loss === "hinge" ? "D: lowest" : "D: fake", WIDE - 8, low - 8);
  }
  pen.strokeStyle = colours.line;
  pen.lineWidth = 2;
  path([[0, bottom], [WIDE, bottom]]);
  pen.stroke();
  pen.fillStyle = colours.soft;
  pen.textAlign = "center";
  for (let x = -3; x <= 3; x++) pen.fillText(String(x).replace("-", "\u2212"), px(x), bottom + 26);
  const edge = (v) => Math.min(reach - 0.05, Math.max(0.05 - reach, v));
  const rows = 12;
  for (let s = 0; s < Math.min(48, fakes.length); s++) {
    const y = bottom + 48 + ((s * 5) % rows) * ((tall - bottom - 62) / (rows - 1));
    const x = px(edge(fakes[s]));
    if (layers.pull && state?.pull && s < state.pull.length) {
      const d = Math.max(-1.4, Math.min(1.4, PULL[1] * state.pull[s]));
      pen.strokeStyle = colours.ink;
      pen.lineWidth = 2;
      arrow(pen, x, y, px(d) - px(0), 0);
    }
    if (!layers.fake) continue;
    pen.fillStyle = colours.b;
    pen.strokeStyle = colours.paper;
    pen.lineWidth = 1.5;
    triangle(pen, x, y, 8);
  }
}
