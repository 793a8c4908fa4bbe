// What stands below the chart of the job that is open. Each tab fills a box from what is known of the job, and asks
// for what is missing.
import * as api from "./api.js";
import { h } from "./dom.js";
import { diff, fold } from "./diff.js";
import { bytes, clock, count, number, span, when } from "./format.js";
import { jobs, now, show, view } from "./state.js";

const table = (heads, rows, narrow = false) => h("table", { class: narrow ? "narrow" : "" }, h("thead", {}, h("tr", {}, heads.map((head) => h("th",
  { class: head.startsWith("#") ? "number" : "" }, head.replace("#", ""))))), h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell, i) =>
  h("td", { class: heads[i].startsWith("#") ? "number" : "" }, cell ?? ""))))));

const ms = (value) => (value === undefined ? "" : `${(1000 * value).toFixed(value < 0.01 ? 2 : 1)}`);

function overview(box, { job }) {
  const parts = [];
  if (job.members?.length) {
    const timed = job.members.some((one) => one.times);
    const heads = ["#rank", "worker", "device", ...(timed ? ["#compute ms", "#wait ms", "#input ms", "#checkpoint ms", "waited for because of"] : [])];
    parts.push(h("h3", {}, "Ranks"), table(heads, job.members.map((one) => [String(one.rank), workerLink(one.worker), one.device, ms(one.times?.compute),
      ms(one.times?.communication), ms(one.times?.input), ms(one.times?.checkpoint), one.straggler].slice(0, heads.length)), !timed));
  }
  const metrics = Object.entries(job.metrics || {});
  if (metrics.length) parts.push(h("h3", {}, "Final metrics"), table(["metric", "#value"], metrics.map(([name, value]) => [name, number(value)]), true));
  if (job.confusion_matrix?.classes?.length <= 30) parts.push(h("h3", {}, "Confusion matrix of the test part (rows: truth)"), confusion(job.confusion_matrix));
  const summary = job.model_summary;
  if (summary) {
    parts.push(h("h3", {}, `Model: ${count(summary.parameters)} parameters, ${bytes(summary.state_bytes)} of state, ${bytes(summary.activation_bytes)} of activations`),
      table(["layer", "kind", "output", "#parameters", "#MFLOP a sample"], (summary.layers || []).map((layer) =>
        [layer.name, layer.kind, (layer.output_shape || []).join(" × "), count(layer.parameters), number(layer.forward_flops / 1e6)])));
  }
  const facts = [["id", job.id], ["namespace", job.namespace], ["dataset", job.dataset_version], ["fingerprint", job.dataset_fingerprint], ["model", job.model_path], ["SHA-256", job.model_sha256],
    ["profile", job.profile && `${job.profile.device_model}, ${job.profile.instruction_set}, ${job.profile.math_library}`]];
  parts.push(h("h3", {}, "Where and what"), h("dl", {}, facts.filter(([, text]) => text).flatMap(([name, text]) => [h("dt", {}, name), h("dd", {}, text)])));
  box.replaceChildren(...parts);
}

const workerLink = (name) => h("button", { type: "button", class: "link", onclick: () => show({ page: "workers" }) }, name);

function confusion({ classes, counts }) {
  const size = classes.length, most = Math.max(1, ...counts.map(Number));
  const cell = (row, column) => {
    const value = Number(counts[row * size + column]);
    const strength = Math.ceil((8 * value) / most);
    return h("td", { class: `number ${row === column ? "right" : "wrong"}-${strength}` }, value ? count(value) : "·");
  };
  return h("table", { class: "confusion" }, h("thead", {}, h("tr", {}, h("th"), classes.map((name) => h("th", { class: "number" }, name)))),
    h("tbody", {}, classes.map((name, row) => h("tr", {}, h("th", {}, name), classes.map((_, column) => cell(row, column))))));
}

function timeline(box, { transitions }) {
  const rows = transitions.map((move, i) => {
    const end = transitions[i + 1]?.time;
    const took = (end ? Date.parse(end) : now()) - Date.parse(move.time);
    const final = ["succeeded", "failed", "cancelled"].includes(move.to);
    return [when(move.time), h("span", { class: `state ${move.to}` }, h("span", { class: "dot" }), move.to), end || !final ? span(took / 1000) : "", h("span", { title: move.reason }, move.reason.replace(/; last log lines: .*/s, ""))];
  });
  box.replaceChildren(table(["time", "state", "#for", "why"], rows.reverse()));
}

async function checkpoints(box, { job }) {
  const { checkpoints: list } = await api.checkpoints(job.id);
  box.replaceChildren(list.length === 0 ? h("p", { class: "dim" }, "No checkpoint yet.") : table(["#step", "#epoch", "written", "#size", "", "metrics", "folder"],
    list.map((one) => [count(one.step), number(one.epoch), when(one.written_at), bytes(one.bytes), one.best ? "best" : "",
      Object.entries(one.metrics || {}).map(([name, value]) => `${name} ${number(value)}`).join("  "), one.path])),
  h("p", { class: "dim" }, `As recorded; \`lockstep checkpoints ${job.id}\` verifies their checksums.`));
}

const kLogLines = 1000, kMostLogLines = 5000;
const log = { job: "", position: 0, busy: false };

async function logTail(box, { job }) {
  if (log.busy) return;
  log.busy = true;
  try {
    const fresh = log.job !== job.id || !box.querySelector("pre");
    const answer = fresh ? await api.logTail(job.id, kLogLines) : await api.logAfter(job.id, log.position);
    if (view.job !== job.id || view.tab !== "log") return;
    if (fresh) box.replaceChildren(h("pre", { class: "log", tabindex: 0, "aria-label": "Log" }));
    const pre = box.firstChild;
    const atEnd = fresh || pre.scrollTop + pre.clientHeight > pre.scrollHeight - 30;
    pre.append(...answer.lines.map((line) => h("div", { class: /\b(error|critical)\b/i.test(line.text) ? "bad" : /\bwarn/i.test(line.text) ? "warn" : "" },
      h("span", { class: "dim" }, `${clock(line.time)} ${line.worker}/${line.rank} `),
      line.text.replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z +/, ""))));  // it says its time itself
    while (pre.children.length > kMostLogLines) pre.firstChild.remove();
    if (atEnd && (fresh || answer.lines.length)) pre.scrollTop = pre.scrollHeight;
    Object.assign(log, { job: job.id, position: answer.position });
  } finally {
    log.busy = false;
  }
}

function spec(box, answer) {
  box.replaceChildren(h("pre", { class: "spec", tabindex: 0, "aria-label": "Specification" }, answer.spec));
}

async function difference(box, { job, spec: own }) {
  const other = view.beside.find((id) => id !== job.id) || olderOf(job);
  if (!other) return box.replaceChildren(h("p", { class: "dim" }, "There is no other job to compare with."));
  const choice = h("select", { "aria-label": "Compare with", onchange: (event) => show({ beside: [event.target.value, ...view.beside.filter((id) => id !== event.target.value)] }) },
    [...jobs.values()].filter((one) => one.id !== job.id).sort((a, b) => (a.id < b.id ? 1 : -1)).slice(0, 200).map((one) =>
      h("option", { value: one.id, selected: one.id === other }, `${one.name}  ${one.id}  ${one.state}`)));
  const answer = await api.job(other);
  const lines = diff(answer.spec, own);
  const changed = lines.some(([kind]) => kind !== " ");
  box.replaceChildren(h("p", {}, "From ", choice, ` (−) to ${job.name} ${job.id} (+)`),
    changed ? h("pre", { class: "spec", tabindex: 0 }, fold(lines).map(([kind, text]) => h("div", { class: { "-": "removed", "+": "added", "…": "dim" }[kind] || "" },
      kind === "…" ? "  …" : `${kind} ${text}`))) : h("p", {}, "The specifications are the same."));
}

// The job of the same name before this one; else any before it.
function olderOf(job) {
  let same = "", any = "";
  for (const other of jobs.values()) {
    if (other.id >= job.id) continue;
    if (other.id > any) any = other.id;
    if (other.name === job.name && other.id > same) same = other.id;
  }
  return same || any;
}

// `live`: asked again with each change of the job.
export const kTabs = [
  { id: "overview", name: "Overview", fill: overview, live: true },
  { id: "timeline", name: "Timeline", fill: timeline, live: true },
  { id: "checkpoints", name: "Checkpoints", fill: checkpoints, live: true },
  { id: "log", name: "Log", fill: logTail, live: true },
  { id: "spec", name: "Spec", fill: spec },
  { id: "diff", name: "Difference", fill: difference },
];
