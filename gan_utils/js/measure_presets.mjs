// Trains every preset of the laboratory with seeds 0 to N - 1, without a page, and says which kept its promise:
//   node gan_utils/js/measure_presets.mjs 10 > gan_utils/js/presets_measured.json
// Names after the number measure these alone. One thread; about ten minutes for ten seeds of all.
import fs from "node:fs";

const here = (name) => fs.readFileSync(new URL(name, import.meta.url), "utf8");
// gan.js is for pages, whose modules end in .js; node reads it as one from a data address
const { isKept, makeRun } = await import(`data:text/javascript;base64,${Buffer.from(here("gan.js")).toString("base64")}`);
const { fields, presets } = JSON.parse(here("laboratory.json"));
const usual = Object.fromEntries(fields.map((field) => [field.key, field.default]));

const [seeds, ...names] = process.argv.slice(2);
const measured = presets.filter(({ name }) => !names.length || names.includes(name)).map((preset) => {
  const { name, at, promise } = preset;
  const metrics = [...new Set([...promise.map(({ metric }) => metric), "modes", "quality", "w1"])];
  const seen = Object.fromEntries(metrics.map((metric) => [metric, []]));
  let kept = 0;
  for (let seed = 0; seed < Number(seeds); seed++) {
    const run = makeRun({ ...usual, ...preset.settings, seed }, []);
    while (run.steps < at) run.step();
    const result = run.measure();
    kept += isKept(promise, result);
    for (const metric of metrics) seen[metric].push(Number(result[metric].toPrecision(3)));
  }
  console.error(`${name}: ${kept} of ${seeds} kept`);
  return { name, settings: preset.settings, at, promise, seeds: Number(seeds), kept, seen };
});
console.log(`[\n${measured.map((row) => JSON.stringify(row)).join(",\n")}\n]`);
