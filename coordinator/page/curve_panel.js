// The chart of the job that is open and of those beside it: which metric, which axis, how smooth, and a table that
// reads each line at the cursor.
import { Chart, nearest } from "./chart.js";
import { curvesOf, refresh, reopen, smooth } from "./curves.js";
import { h, say } from "./dom.js";
import { number, rate } from "./format.js";
import { notice } from "./dialogs.js";
import { drawn, jobs, kActive, throughput, view } from "./state.js";

const kColors = 8;
const choice = { metric: "loss", x: "step", log: false, strength: 0 };
const parts = {};
let chart, lines = [], colors = new Map();

export function curvePanel() {
  if (parts.root) return parts.root;
  parts.metrics = h("div", { class: "chips", role: "group", "aria-label": "Metric" });
  parts.strength = h("input", { type: "range", id: "smooth", min: 0, max: 0.99, step: 0.01, value: 0, "aria-label": "Smoothing",
    oninput: (event) => { choice.strength = Number(event.target.value); draw(); } });
  parts.strengthText = h("output", { for: "smooth" }, "0");
  parts.log = h("button", { type: "button", id: "log", "aria-pressed": "false", title: "Logarithmic axis (l)", onclick: toggleLog }, "log");
  parts.x = h("button", { type: "button", title: "Step or epoch (x)", onclick: toggleX }, "step");
  parts.reset = h("button", { type: "button", title: "Whole range (z, or a double click)", onclick: () => chart.reset() }, "all");
  parts.canvas = h("canvas", { id: "chart", tabindex: 0, role: "img", "aria-label": "Curves; left and right move the cursor",
    onkeydown: chartKey });
  parts.legend = h("tbody");
  parts.at = h("th", { class: "number" }, "last");
  chart = new Chart(parts.canvas, readout);
  parts.table = h("table", { class: "legend" }, h("thead", {}, h("tr", {}, h("th", {}, "line"), parts.at, h("th", { class: "number" }, "least"),
    parts.where = h("th", { class: "number" }), h("th", { class: "number" }, "greatest"))), parts.legend);
  parts.root = h("section", { class: "panel", id: "curves", "aria-label": "Curves" },
    h("div", { class: "tools" }, parts.metrics,
      h("div", { class: "controls" }, h("label", { for: "smooth" }, "smooth"), parts.strength, parts.strengthText, parts.log, parts.x, parts.reset)),
    parts.canvas, parts.table);
  return parts.root;
}

export function toggleLog() {
  choice.log = !choice.log;
  parts.log.setAttribute("aria-pressed", choice.log);
  draw();
}

export function toggleX() {
  choice.x = choice.x === "step" ? "epoch" : "step";
  chart.range = null;
  say(parts.x, choice.x);
  draw();
}

export function changeStrength(by) {
  choice.strength = Math.min(0.99, Math.max(0, Math.round((choice.strength + by) * 100) / 100));
  parts.strength.value = choice.strength;
  draw();
}

export const resetRange = () => chart.reset();

function chartKey(event) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step) return;
  chart.step(step * (event.shiftKey ? 40 : 4));
  event.preventDefault();
  event.stopPropagation();
}

// Asks for what is new; `changed`: jobs that changed since the last time.
export function follow(changed) {
  for (const id of drawn()) {
    const state = jobs.get(id)?.state;
    if (changed.has(id) && kActive.has(state)) reopen(id);
    refresh(id, draw).catch((error) => notice(error));
  }
}

// A job keeps its colour for as long as it is drawn.
export function colorOf(id) {
  const shown = drawn();
  for (const other of [...colors.keys()]) if (!shown.includes(other)) colors.delete(other);
  if (!shown.includes(id)) return null;
  if (!colors.has(id)) {
    const taken = new Set(colors.values());
    for (let i = 0; i < kColors; ++i) if (!taken.has(i)) { colors.set(id, i); break; }
  }
  return `--line-${colors.get(id) ?? 0}`;
}

const lastWord = (name) => name.slice(name.lastIndexOf("/") + 1);

export function draw() {
  curvePanel();
  const shown = drawn();
  const metrics = new Set();
  for (const id of shown) {
    for (const name of curvesOf(id).series.keys()) metrics.add(lastWord(name));
    if (throughput.has(id)) metrics.add("throughput");
  }
  const order = [...metrics].sort((a, b) => (b === "loss") - (a === "loss") || a.localeCompare(b));
  const metric = metrics.has(choice.metric) ? choice.metric : order[0] || "loss";
  drawChips(order, metric);
  lines = shown.flatMap((id) => linesOf(id, metric, shown.length === 1));
  const faint = lines.filter((line) => line.raw).map((line) => ({ ...line, ys: line.raw, faint: true, dash: false, dots: false }));
  say(parts.where, `at ${choice.x}`);
  say(parts.strengthText, choice.strength.toFixed(2));
  parts.table.hidden = lines.length === 0;
  chart.show({ lines: [...faint, ...lines], log: choice.log, xName: choice.x,
    empty: jobs.get(view.job)?.state === "queued" ? "queued: no step yet" : "no points yet" });
  drawLegend();
}

// With its id where another job that is drawn has the same name.
function nameOf(id) {
  const name = jobs.get(id)?.name;
  const twice = drawn().some((other) => other !== id && jobs.get(other)?.name === name);
  return !name ? id : twice ? `${name} ${id}` : name;
}

function linesOf(id, metric, alone) {
  const found = [];
  const add = (name, xs, values, length, part) => {
    const color = alone && part ? `--line-${part}` : colorOf(id);
    const ys = smooth(values, length, choice.strength);
    const isValidation = name.startsWith("validation/");
    found.push({ label: alone ? name : `${nameOf(id)} ${name}`, id, color, dash: isValidation && !alone, dots: isValidation,
      xs, ys, values, raw: choice.strength > 0 ? values : null, length, metric });
  };
  if (metric === "throughput") {
    const samples = throughput.get(id) || [];
    add("samples a second, since this page was opened", Float64Array.from(samples, (one) => one[choice.x]),
      Float64Array.from(samples, (one) => one.value), samples.length, 0);
    return found;
  }
  let part = 0;
  for (const [name, series] of [...curvesOf(id).series].sort()) {
    if (lastWord(name) === metric) add(name, series[`${choice.x}s`], series.values, series.length, part++);
  }
  return found;
}

function drawChips(metrics, chosen) {
  const key = metrics.join() + chosen;
  if (parts.metrics.dataset.key === key) return;
  parts.metrics.dataset.key = key;
  parts.metrics.replaceChildren(...metrics.map((name) => h("button", { type: "button", "aria-pressed": String(name === chosen),
    onclick: () => { choice.metric = name; chart.range = null; draw(); } }, name.replaceAll("_", " "))));
}

const show = (line, value) => (line.metric === "throughput" ? rate(value) : number(value));

function drawLegend() {
  while (parts.legend.rows.length > lines.length) parts.legend.lastChild.remove();
  while (parts.legend.rows.length < lines.length) {
    parts.legend.append(h("tr", {}, h("td", {}, h("span", { class: "swatch" }), h("span")), ...[1, 2, 3, 4].map(() => h("td", { class: "number" }))));
  }
  lines.forEach((line, i) => {
    const cells = parts.legend.rows[i].cells;
    const { values, length } = line;
    let least = 0, greatest = 0;
    for (let k = 1; k < length; ++k) {
      if (values[k] < values[least]) least = k;
      if (values[k] > values[greatest]) greatest = k;
    }
    cells[0].firstChild.className = `swatch ${line.color.slice(2)}${line.dash ? " dashed" : ""}`;
    say(cells[0].lastChild, line.label);
    say(cells[2], length ? show(line, values[least]) : "");
    say(cells[3], length ? number(line.xs[least]) : "");
    say(cells[4], length ? show(line, values[greatest]) : "");
  });
  readout(chart.cursor);
}

function readout(x) {
  say(parts.at, x === null ? "last" : `${choice.x} ${number(choice.x === "step" ? Math.round(x) : x)}`);
  lines.forEach((line, i) => {
    const at = x === null ? line.length - 1 : nearest(line.xs, line.length, x);
    if (parts.legend.rows[i]) say(parts.legend.rows[i].cells[1], at >= 0 ? show(line, line.ys[at]) : "");
  });
}
