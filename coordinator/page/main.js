// The page: asks what changed once a second while it is seen, and shows it.
import * as api from "./api.js";
import { draw as drawCurves, follow } from "./curve_panel.js";
import { setUpDetail, tick, updateDetail } from "./detail.js";
import { askToken, notice, showKeys } from "./dialogs.js";
import { $, say } from "./dom.js";
import { updateFleet } from "./fleet.js";
import { count, rate } from "./format.js";
import { draw as drawList, setUpList, update as updateList } from "./job_list.js";
import { setUpKeys } from "./keys.js";
import { absorb, jobs, onChange, readAddress, show, view, world } from "./state.js";
import { setUpTheme, toggleTheme } from "./theme.js";

const kInterval = 1000, kLongest = 15000;
let failures = 0, timer = 0, last = "";

async function poll() {
  clearTimeout(timer);
  if (document.hidden) return;  // asks again when it is seen
  try {
    absorb(await api.jobs(world.cursor));
    if (view.page === "workers") await updateFleet(); else tick();
    failures = 0;
    say($("link"), "");
    $("link").className = "";
    if (jobs.size && !performance.getEntriesByName("jobs-shown").length) requestAnimationFrame(() => performance.mark("jobs-shown"));
  } catch (error) {
    ++failures;
    if (error.status === 401) askToken(error.message);
    $("link").className = "broken";
    say($("link"), `not live: ${error.message}`);
  }
  clearTimeout(timer);
  timer = setTimeout(poll, Math.min(kLongest, kInterval * 2 ** Math.min(failures, 4)));
}

function totals() {
  let speed = 0;
  for (const job of jobs.values()) if (job.state === "running") speed += job.progress?.samples_per_second || 0;
  const { workers, devices, states } = world;
  const parts = ["running", "starting", "recovering", "queued"].filter((state) => states[state] || state === "running" || state === "queued");
  const lost = workers.lost ? `, ${workers.lost} lost` : "";
  say($("totals"), `${parts.map((state) => `${count(states[state] || 0)} ${state}`).join(" · ")} · ${workers.ready ?? 0} worker${workers.ready === 1 ? "" : "s"}${lost} · ` +
    `${devices.busy ?? 0}/${devices.total ?? 0} devices busy${speed ? ` · ${rate(speed).replace("/s", "")} samples/s` : ""}`);
}

function update(changed) {
  const inJobs = view.page === "jobs";
  $("jobs").hidden = !inJobs;
  $("workers").hidden = inJobs;
  $("view-jobs").setAttribute("aria-pressed", String(inJobs));
  $("view-workers").setAttribute("aria-pressed", String(!inJobs));
  totals();
  if (!inJobs) {
    if (last !== view.page) updateFleet().catch(notice);
    last = view.page;
    return;
  }
  last = view.page;
  updateDetail(changed);
  updateList();
  follow(changed);
}

setUpTheme();
setUpList();
setUpDetail();
setUpKeys();
onChange(update);
$("view-jobs").addEventListener("click", () => show({ page: "jobs" }));
$("view-workers").addEventListener("click", () => show({ page: "workers" }));
$("token").addEventListener("click", () => askToken());
$("theme").addEventListener("click", toggleTheme);
$("help").addEventListener("click", showKeys);
addEventListener("hashchange", readAddress);
addEventListener("token", poll);
addEventListener("themechange", () => { drawCurves(); drawList(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCurves);
document.addEventListener("visibilitychange", poll);
readAddress();
poll();
