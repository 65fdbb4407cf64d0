// What every in-page demonstration shares: its look, a few lines of DOM, and the bridge to its host.
// A host is either a live notebook (anywidget hands us its model) or a page (`pageModel` below).
// Python joins this text to the demonstration's own, so neither fetches anything.

export const BASE_CSS = `
.gan-demo {
  --paper: #ffffff; --ink: #1b1f24; --soft: #57606a; --line: #8c959f; --wash: #f3f5f7;
  --a: #0072b2; --b: #b84700; --c: #00734f; --d: #8f3f74; color-scheme: light;
  box-sizing: border-box; max-width: 60rem; margin: .5rem 0; padding: 1rem;
  color: var(--ink); background: var(--paper); border: 1px solid var(--wash); border-radius: .75rem;
  box-shadow: 0 1px 4px rgb(0 0 0 / .18); font: 15px/1.45 system-ui, sans-serif; text-align: left;
}
.gan-demo *, .gan-demo *::before { box-sizing: border-box; }
.gan-demo p { margin: 0; }
.gan-demo .title { margin: 0 0 .6rem; font-size: 1.05rem; font-weight: 650; }
.gan-demo .soft { color: var(--soft); font-size: .87em; }
.gan-demo output, .gan-demo .num { font-variant-numeric: tabular-nums; }
.gan-demo button, .gan-demo select {
  font: inherit; font-size: .92em; color: var(--ink); background: var(--wash); cursor: pointer;
  border: 1px solid var(--line); border-radius: .5rem; min-height: 2.1rem; padding: .2rem .75rem;
  margin: 0; width: auto; height: auto; line-height: 1.3;
}
.gan-demo button:hover, .gan-demo select:hover { border-color: var(--a); }
.gan-demo button:active { transform: translateY(1px); }
.gan-demo input[type=range] { accent-color: var(--a); width: 100%; min-width: 0; margin: 0;
  min-height: 1.5rem; padding: 0; cursor: pointer; background: transparent; }
.gan-demo :focus-visible { outline: 3px solid var(--a); outline-offset: 2px; }
.gan-demo :focus:not(:focus-visible) { outline: none; }
.gan-demo .row { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; }
.gan-demo .unseen { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden;
  clip-path: inset(50%); white-space: nowrap; }
`;

const DARK = `{ --paper: #171b21; --ink: #e8ebef; --soft: #b3bcc7; --line: #6f7985; --wash: #262c35;
  --a: #56b4e9; --b: #ee9a52; --c: #35c59b; --d: #dba0c4; color-scheme: dark; }`;

// Every host says "dark" in its own way; a page that says nothing follows the reader's system.
const DARK_CSS = `
html[data-theme=dark] .gan-demo, html[theme=dark] .gan-demo,
body[data-jp-theme-light=false] .gan-demo, body.vscode-dark .gan-demo ${DARK}
@media (prefers-color-scheme: dark) {
  html:not([data-theme]):not([theme]) body:not([data-jp-theme-light]):not([class*=vscode]) .gan-demo
  ${DARK}
}
@media (prefers-reduced-motion: reduce) { .gan-demo * { transition: none !important; } }
`;

/** An element with its properties and children: make("p", {className: "soft"}, "text"). */
export function make(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (key in node) node[key] = value;
    else node.setAttribute(key, value); // role, aria-*, tabindex
  }
  node.append(...children);
  return node;
}

/** The same for SVG, where every property is an attribute. */
export function draw(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** Empties `host` (the still goes) and returns the demonstration's root inside it. */
export function frame(host, name, title, css) {
  const root = make("div", { className: `gan-demo ${name}`, role: "group", "aria-label": title });
  root.append(make("style", { textContent: BASE_CSS + css + DARK_CSS }));
  keepKeys(root);
  host.replaceChildren(root);
  return root;
}

const OURS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"];

// JupyterLab takes arrow keys for its cells. Keep those and no others: Ctrl+S must still save.
function keepKeys(root) {
  root.addEventListener("keydown", (event) => {
    const modified = event.ctrlKey || event.metaKey || event.altKey;
    if (OURS.includes(event.key) && !modified) event.stopPropagation();
  });
}

/** fn, at most once per animation frame however often it is asked for. */
export function perFrame(fn) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; fn(); });
  };
}

/** fn, `ms` after the last of a burst of calls. */
export function settled(fn, ms) {
  let timer;
  return () => { clearTimeout(timer); timer = setTimeout(fn, ms); };
}

/** fn, at most once every `ms`, the last call never lost. */
export function throttled(fn, ms) {
  let timer = null;
  return () => { timer ??= setTimeout(() => { timer = null; fn(); }, ms); };
}

export const prefersCalm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

export function bytes(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

/** Stands for the notebook's model on a page without kernel: the same five methods. */
export function pageModel(state) {
  const listeners = {};
  return {
    get: (key) => state[key],
    set(key, value) {
      if (state[key] === value) return;
      state[key] = value;
      for (const fn of [...(listeners[`change:${key}`] ?? [])]) fn();
    },
    save_changes() {},
    on(names, fn) { for (const name of names.split(" ")) (listeners[name] ??= new Set()).add(fn); },
    off(names, fn) { for (const name of names.split(" ")) listeners[name]?.delete(fn); },
  };
}

/** Turns the first still of this name into the demonstration. Two copies on a page: one call each. */
export function mountOnPage(demo, name, state) {
  const host = document.querySelector(`[data-gan-demo="${name}"]:not([data-live])`);
  host.dataset.live = "";
  demo.render({ model: pageModel(state), el: host });
}
