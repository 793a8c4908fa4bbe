// The list of jobs: filtered, sorted, and drawn only where it is seen, so that thousands cost what thirty do.
import { $, h, say } from "./dom.js";
import { count, number, qualified, rate, when } from "./format.js";
import { colorOf } from "./curve_panel.js";
import { drawn, jobs, kStates, show, toggleBeside, view, world } from "./state.js";

const kRowHeight = 28;
const kColumns = [
  { name: "", title: "Keep in the chart (click, or Ctrl and click on a row)", width: "24px" },
  { name: "State", key: (job) => kStates.indexOf(job.state), width: "88px" },
  { name: "Name", key: qualified, width: "minmax(90px, 1fr)" },
  { name: "Progress", key: (job) => part(job), width: "minmax(60px, 100px)" },
  { name: "Train", key: (job) => job.progress?.train_loss ?? Infinity, width: "58px", number: true, title: "Train loss" },
  { name: "Valid.", key: (job) => job.progress?.validation_loss ?? Infinity, width: "58px", number: true, title: "Validation loss" },
  { name: "Samples", key: (job) => speed(job), width: "58px", number: true, title: "Samples a second" },
  { name: "W", key: (job) => job.members?.length || 0, width: "22px", number: true, title: "Workers" },
  { name: "At", key: (job) => job.id, width: "72px", number: true, title: "Submitted" },
];
const sorting = { column: 8, down: true };
const states = new Set();  // that are shown; empty: all
let found = [], rows = [], search = "";

const part = (job) => (job.progress?.total_steps > 0 ? job.progress.step / job.progress.total_steps : 0);
const speed = (job) => (job.state === "running" ? job.progress?.samples_per_second || 0 : 0);

export function setUpList() {
  document.documentElement.style.setProperty("--columns", kColumns.map((column) => column.width).join(" "));
  $("columns").replaceChildren(...kColumns.map((column, i) => h("button",
    { type: "button", class: column.number ? "number" : "", title: column.title, disabled: !column.key, onclick: () => sortBy(i) }, column.name)));
  $("search").addEventListener("input", (event) => { search = event.target.value.trim().toLowerCase(); update(); });
  $("states").replaceChildren(...kStates.map((state) => h("button",
    { type: "button", class: `state ${state}`, "aria-pressed": "false", "data-state": state, onclick: (event) => toggleState(state, event.currentTarget) },
    h("span", { class: "dot" }), h("span", {}, state), " ", h("b"))));
  $("rows").append(h("div", { class: "extent" }));
  $("rows").addEventListener("scroll", draw, { passive: true });
  $("rows").addEventListener("keydown", listKey);
  new ResizeObserver(draw).observe($("rows"));
}

function toggleState(state, button) {
  if (!states.delete(state)) states.add(state);
  button.setAttribute("aria-pressed", String(states.has(state)));
  update();
}

function sortBy(column) {
  sorting.down = sorting.column === column ? !sorting.down : column === 8;
  sorting.column = column;
  update();
}

function matches(job) {
  if (states.size > 0 && !states.has(job.state)) return false;
  if (!search) return true;
  const text = `${qualified(job)} ${job.id} ${job.dataset_version || ""} ${(job.members || []).map((member) => member.worker).join(" ")}`.toLowerCase();
  return search.split(/\s+/).every((word) => text.includes(word));
}

export function update() {
  const { key } = kColumns[sorting.column];
  const sign = sorting.down ? -1 : 1;
  found = [...jobs.values()].filter(matches).map((job) => [key(job), job]);
  found.sort(([a, jobA], [b, jobB]) => (a < b ? -sign : a > b ? sign : jobA.id < jobB.id ? 1 : -1));
  found = found.map(([, job]) => job);
  [...$("columns").children].forEach((button, i) => button.setAttribute("data-sort", i === sorting.column ? (sorting.down ? "down" : "up") : ""));
  for (const button of $("states").children) {
    const total = world.states[button.dataset.state] || 0;
    say(button.lastChild, count(total));
    button.classList.toggle("none", total === 0);
  }
  $("rows").firstChild.style.height = `${found.length * kRowHeight}px`;
  $("rows").setAttribute("data-empty", found.length ? "" : jobs.size ? "no job matches" : "no job yet: lockstep submit JOB.yaml");
  draw();
}

export function draw() {
  const box = $("rows");
  const first = Math.max(0, Math.floor(box.scrollTop / kRowHeight) - 4);
  const seen = Math.min(found.length - first, Math.ceil(box.clientHeight / kRowHeight) + 8);
  while (rows.length < seen) {
    const row = newRow();
    rows.push(row);
    box.append(row.element);
  }
  let current = "";
  rows.forEach((row, i) => {
    const job = i < seen ? found[first + i] : null;
    row.element.hidden = !job;
    if (!job) return;
    fill(row, job, first + i);
    if (job.id === view.job) current = row.element.id;
  });
  if (current) box.setAttribute("aria-activedescendant", current); else box.removeAttribute("aria-activedescendant");
}

function newRow() {
  const cell = (name = "") => h("span", { class: name });
  const row = { mark: h("span", { class: "mark" }), dot: cell("dot"), state: cell(), name: cell("name"), bar: cell("fill"), done: cell("done"),
    train: cell("number"), valid: cell("number"), speed: cell("number"), workers: cell("number"), at: cell("number dim") };
  row.element = h("div", { role: "option", id: `row-${rows.length}`, class: "row",
    onclick: (event) => (event.target === row.mark || event.ctrlKey || event.metaKey ? toggleBeside(row.id) : show({ job: row.id })) },
  row.mark, h("span", { class: "state" }, row.dot, row.state), row.name, h("span", { class: "bar" }, row.bar, row.done),
  row.train, row.valid, row.speed, row.workers, row.at);
  return row;
}

function fill(row, job, position) {
  row.id = job.id;
  const progress = job.progress || {};
  row.element.style.top = `${position * kRowHeight}px`;
  row.element.setAttribute("aria-selected", String(job.id === view.job));
  row.element.setAttribute("aria-posinset", position + 1);
  row.element.setAttribute("aria-setsize", found.length);
  row.element.title = job.reason || "";
  row.element.className = `row ${job.state}`;
  const color = view.beside.length > 0 ? colorOf(job.id) : null;
  row.mark.className = `mark ${color ? color.slice(2) : ""}${view.beside.includes(job.id) ? " kept" : ""}`;
  say(row.state, job.cancel_requested && job.state !== "cancelled" ? "cancelling" : job.pause_requested && job.state !== "paused" ? "pausing" : job.state);
  say(row.name, qualified(job));
  row.bar.style.width = `${100 * part(job)}%`;
  say(row.done, progress.total_steps ? `${Math.floor(100 * part(job))}%` : "");
  say(row.train, progress.step ? number(progress.train_loss, 3) : "");
  say(row.valid, progress.validation_loss === undefined ? "" : number(progress.validation_loss, 3));
  say(row.speed, rate(speed(job)).replace("/s", ""));
  say(row.workers, job.members?.length ? String(job.members.length) : "");
  say(row.at, when(job.submitted_at).replace(/^\d{4}-/, ""));
}

// Opens the job `by` rows further down.
export function move(by) {
  if (found.length === 0) return;
  const at = found.findIndex((job) => job.id === view.job);
  const next = at < 0 ? 0 : Math.min(found.length - 1, Math.max(0, at + by));
  const box = $("rows");
  box.scrollTop = Math.min(next * kRowHeight, Math.max(box.scrollTop, (next + 1) * kRowHeight - box.clientHeight));
  show({ job: found[next].id });
}

function listKey(event) {
  const page = Math.max(1, Math.floor($("rows").clientHeight / kRowHeight) - 1);
  const by = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
  if (by !== undefined) move(Number.isFinite(by) ? by : Math.sign(by) * found.length);
  else return;
  event.preventDefault();
  event.stopPropagation();
}
