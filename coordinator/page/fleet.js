// Workers, what their devices do, and what befell them since the coordinator started.
import * as api from "./api.js";
import { $, h, svg } from "./dom.js";
import { clock, seconds, span, when } from "./format.js";
import { jobs, now, show } from "./state.js";

const kLane = 26, kLeft = 130, kRight = 14;
const kBad = new Set(["lost", "failure", "quarantined"]);
let last = "";

export async function updateFleet() {
  const answer = await api.workers();
  const box = $("workers");
  if (!box.firstChild) {
    box.append(h("section", { class: "panel", "aria-label": "Workers" }, h("h2", {}, "Workers"), h("div", { id: "worker-table" })),
      h("section", { class: "panel", "aria-label": "Timeline" }, h("h2", {}, "Since the coordinator started"), h("div", { id: "lanes" }), h("div", { id: "events" })));
  }
  table(answer.workers);
  lanes(answer);
  const key = JSON.stringify(answer.events);
  if (key !== last) events(answer.events);
  last = key;
}

function table(workers) {
  const rows = workers.map((worker) => h("tr", {}, h("td", {}, h("span", { class: `state worker-${worker.state}` }, h("span", { class: "dot" }), worker.name)),
    h("td", {}, worker.state), h("td", {}, worker.host), h("td", {}, (worker.devices || []).map((one) => device(one, worker.state === "lost"))),
    h("td", { class: "number" }, span(seconds(worker.heartbeat_age))), h("td", {}, when(worker.connected_at)), h("td", { class: "dim" }, worker.version)));
  const head = ["worker", "state", "host", "devices", "heard", "connected", "version"].map((name) => h("th", { class: name === "heard" ? "number" : "" }, name));
  if ($("worker-table").contains(document.activeElement)) return;  // a button there is about to be pressed
  $("worker-table").replaceChildren(rows.length ? h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows))
    : h("p", { class: "dim" }, "No worker is connected. Start one on each node: lockstep-worker --coordinator HOST:PORT"));
}

function device(one, lost) {
  const job = jobs.get(one.job_id);
  return h("div", { class: "device" }, h("code", {}, one.device.id), " ",
    one.cordoned ? h("span", { class: "warn" }, `out of service: ${one.cordoned} `) : "",
    one.job_id ? h("button", { type: "button", class: "link", onclick: () => show({ page: "jobs", job: one.job_id }) }, `${job?.name || one.job_id} rank ${one.rank}`)
      : one.cordoned || lost ? "" : h("span", { class: "dim" }, "free"));
}

// One lane a worker: where it was connected, and a mark for each event.
function lanes({ workers, events: list }) {
  const names = [...new Set([...workers.map((worker) => worker.name), ...list.map((event) => event.worker)])].sort().slice(0, 200);
  if (names.length === 0) return $("lanes").replaceChildren();
  const width = Math.max(300, $("lanes").clientWidth), height = names.length * kLane + 22;
  const to = now();
  const from = Math.min(to - 60_000, ...list.map((event) => Date.parse(event.time)));
  const x = (time) => kLeft + ((Date.parse(time) - from) / (to - from)) * (width - kLeft - kRight);
  const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Workers over time; the table below has the same" });
  for (let i = 0; i <= 6; ++i) {
    const at = from + ((to - from) * i) / 6;
    const px = kLeft + ((width - kLeft - kRight) * i) / 6;
    root.append(svg("line", { class: "tick", x1: px, x2: px, y1: 0, y2: height - 18 }),
      svg("text", { class: "dim", x: px, y: height - 4, "text-anchor": i === 6 ? "end" : "middle" }, clock(at)));
  }
  names.forEach((name, lane) => {
    const y = lane * kLane + kLane / 2;
    root.append(svg("text", { x: kLeft - 10, y: y + 4, "text-anchor": "end" }, name.length > 17 ? `${name.slice(0, 16)}…` : name));
    const own = list.filter((event) => event.worker === name);
    let up = null;
    const bar = (begin, end) => root.append(svg("rect", { class: "up", x: begin, y: y - 3, width: Math.max(1, end - begin), height: 6, rx: 3 }));
    for (const event of own) {
      if (event.kind === "joined" && up === null) up = x(event.time);
      if ((event.kind === "lost" || event.kind === "left") && up !== null) { bar(up, x(event.time)); up = null; }
    }
    if (up !== null) bar(up, width - kRight);
    for (const event of own) {
      const mark = svg("circle", { class: `event ${event.kind}`, cx: x(event.time), cy: y, r: kBad.has(event.kind) ? 5.5 : 4 });
      mark.append(svg("title", {}, `${when(event.time)} ${event.kind} ${event.device} ${event.text}`));
      root.append(mark);
    }
  });
  $("lanes").replaceChildren(root);
}

function events(list) {
  const rows = list.slice(-300).reverse().map((event) => h("tr", {}, h("td", {}, when(event.time)),
    h("td", {}, h("span", { class: `event-name ${event.kind}` }, event.kind)), h("td", {}, event.worker), h("td", {}, event.device),
    h("td", {}, event.job ? h("button", { type: "button", class: "link", onclick: () => show({ page: "jobs", job: event.job }) }, jobs.get(event.job)?.name || event.job) : ""),
    h("td", { class: "text", title: event.text }, event.text.split("; last log lines:")[0])));
  $("events").replaceChildren(h("table", {}, h("thead", {}, h("tr", {}, ["time", "what", "worker", "device", "job", ""].map((name) => h("th", {}, name)))), h("tbody", {}, rows)));
}

