// What the page knows and what is looked at. The address's fragment holds the latter, so that a view can be sent
// to somebody and the browser's back button works.

export const kActive = new Set(["queued", "starting", "running", "recovering", "paused"]);
export const kStates = ["running", "starting", "recovering", "queued", "paused", "succeeded", "failed", "cancelled"];
const kMostSamples = 7200, kMostSampled = 100, kMostJobs = 4000;  // a page may be open for weeks

export const jobs = new Map();        // by id
export const throughput = new Map();  // by job: [{step, epoch, value}], since this page was opened
export const world = { cursor: "", now: 0, skew: 0, states: {}, workers: {}, devices: {} };
export const view = { page: "jobs", job: "", tab: "overview", beside: [] };  // beside: kept in the chart
const listeners = new Set();

export const onChange = (listener) => listeners.add(listener);
const tell = (changed) => listeners.forEach((listener) => listener(changed));

// An answer of /api/jobs. Returns whether any job changed.
export function absorb(answer) {
  if (answer.reset) jobs.clear();
  const changed = new Set();
  for (const job of answer.jobs) {
    const before = jobs.get(job.id);
    jobs.set(job.id, job);
    changed.add(job.id);
    if (job.state === "running") sample(job, before);
  }
  if (jobs.size > kMostJobs) [...jobs.keys()].sort().slice(0, jobs.size - kMostJobs).forEach((id) => jobs.delete(id));
  Object.assign(world, { cursor: answer.cursor, states: answer.states, workers: answer.workers, devices: answer.devices });
  world.skew = Date.parse(answer.now) - Date.now();
  if (!view.job && jobs.size > 0) view.job = firstToShow();
  tell(changed);
  return changed.size > 0;
}

export const now = () => Date.now() + world.skew;  // the coordinator's time

function sample(job, before) {
  const progress = job.progress;
  if (!progress || !(progress.samples_per_second > 0) || progress.step === before?.progress?.step) return;
  const list = throughput.get(job.id) || [];
  list.push({ step: progress.step, epoch: progress.epoch, value: progress.samples_per_second });
  if (list.length > kMostSamples) list.splice(0, list.length - kMostSamples);
  throughput.delete(job.id);
  throughput.set(job.id, list);
  if (throughput.size > kMostSampled) throughput.delete(throughput.keys().next().value);
}

export function firstToShow() {
  let newest = "", running = "";
  for (const job of jobs.values()) {
    if (job.id > newest) newest = job.id;
    if (job.state === "running" && job.id > running) running = job.id;
  }
  return running || newest;
}

export function show(change) {
  Object.assign(view, change);
  const words = new URLSearchParams();
  if (view.page !== "jobs") words.set("view", view.page);
  if (view.job) words.set("job", view.job);
  if (view.tab !== "overview") words.set("tab", view.tab);
  if (view.beside.length) words.set("with", view.beside.join("."));
  history.replaceState(null, "", `#${words}`);
  tell(new Set());
}

export function readAddress() {
  const words = new URLSearchParams(location.hash.slice(1));
  const name = /^[A-Za-z0-9_-]{1,64}$/;
  const id = words.get("job") || "";
  view.page = words.get("view") === "workers" ? "workers" : "jobs";
  view.job = name.test(id) ? id : view.job;
  view.tab = words.get("tab") || "overview";
  view.beside = (words.get("with") || "").split(".").filter((other) => name.test(other)).slice(0, 7);
  tell(new Set());
}

// The jobs whose curves are drawn: the one that is open first.
export const drawn = () => (view.job ? [...new Set([view.job, ...view.beside])] : []);

export function toggleBeside(id) {
  const without = view.beside.filter((other) => other !== id);
  show({ beside: without.length < view.beside.length ? without : [...view.beside, id].slice(-7) });
}
