// Trains the networks that the laboratory offers ready trained, without a page: seed 0, to the step of the promise.
//   node gan_utils/js/train_presets.mjs > gan_utils/js/presets_trained.json
// Names after it train these alone. One thread, about twenty seconds for all.
import fs from "node:fs";

const NAMES = ["healthy", "collapse", "gaussian", "grid", "spiral"];
const here = (name) => fs.readFileSync(new URL(name, import.meta.url), "utf8");
// gan.js is for pages, whose modules end in .js; node reads it as one from a data address
const { makeRun } = await import(`data:text/javascript;base64,${Buffer.from(here("gan.js")).toString("base64")}`);
const { fields, presets } = JSON.parse(here("laboratory.json"));
const usual = Object.fromEntries(fields.map((field) => [field.key, field.default]));

const asked = process.argv.slice(2);
const trained = (asked.length ? asked : NAMES).map((name) => {
  const preset = presets.find((p) => p.name === name);
  const settings = { seed: 0, ...usual, ...preset.settings };
  const run = makeRun(settings, []);
  while (run.steps < preset.at) run.step();
  return { name, settings, ...run.keep() };
});
console.log(`[\n${trained.map((row) => JSON.stringify(row)).join(",\n")}\n]`);
