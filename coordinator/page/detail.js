// The job that is open: what it is doing, its curves, and its tabs.
import * as api from "./api.js";
import { curvePanel, draw as drawCurves } from "./curve_panel.js";
import { confirm, notice } from "./dialogs.js";
import { $, h, say } from "./dom.js";
import { count, number, rate, seconds, span } from "./format.js";
import { goodputPanel, showGoodput } from "./goodput.js";
import { firstToShow, jobs, kActive, now, show, throughput, view } from "./state.js";
import { kTabs } from "./tabs.js";

const kFacts = ["step", "epoch", "train loss", "valid. loss", "valid. acc.", "samples", "time", "left", "workers", "generation"];
const parts = {};
let shown = "", answer = null, asking = false, again = false, tabFilled = "";

export function setUpDetail() {
  const button = (id, text, title, action) => h("button", { type: "button", id, title, onclick: action }, text);
  parts.name = h("h2");
  parts.state = h("span", { class: "pill" });
  parts.id = h("code");
  parts.pause = button("pause", "Pause", "Pause (p)", pauseOrResume);
  parts.resume = button("resume", "Resume", "Resume from the newest checkpoint (p)", pauseOrResume);
  parts.cancel = button("cancel", "Cancel", "Cancel (c)", cancel);
  parts.remove = button("delete", "Delete", "Delete for good (d)", remove);
  parts.reason = h("p", { class: "reason" });
  parts.facts = kFacts.map((name) => h("div", {}, h("dt", {}, name), h("dd")));
  parts.bar = h("div", { class: "progress", role: "progressbar", "aria-label": "Progress", "aria-valuemin": 0, "aria-valuemax": 100 }, h("span"));
  parts.tabs = h("div", { role: "tablist", class: "tabs" }, kTabs.map((tab, i) => h("button", { type: "button", role: "tab", id: `tab-${tab.id}`,
    "aria-controls": "tab-box", title: String(i + 1), onclick: () => show({ tab: tab.id }) }, tab.name)));
  parts.box = h("div", { role: "tabpanel", id: "tab-box" });
  parts.all = h("div", { class: "job" },
    h("header", {}, parts.name, parts.state, parts.id, h("span", { class: "space" }), parts.pause, parts.resume, parts.cancel, parts.remove),
    parts.reason, parts.bar, h("dl", { class: "facts" }, parts.facts), goodputPanel(), curvePanel(), parts.tabs, parts.box);
  parts.none = h("p", { class: "empty" }, "No job yet. Submit one: lockstep submit JOB.yaml");
  $("detail").replaceChildren(parts.none, parts.all);
}

export function updateDetail(changed) {
  const job = jobs.get(view.job) || (answer?.job?.id === view.job ? answer.job : null);
  parts.none.hidden = Boolean(job || view.job);
  parts.all.hidden = !job;
  if (shown !== view.job) {
    shown = view.job;
    answer = null;
    tabFilled = "";
    parts.box.replaceChildren();
  }
  if (view.job && (!answer || changed.has(view.job))) load();
  for (const tab of kTabs) $(`tab-${tab.id}`)?.setAttribute("aria-selected", String(tab.id === view.tab));
  if (job) summary(job);
  showGoodput(answer?.device_time);
  if (answer && tabFilled !== `${view.job} ${view.tab} ${view.tab === "diff" ? view.beside : ""}`) fillTab();
  drawCurves();
}

// Lines of a log come without a change of the job, the last ones after its end.
export function tick() {
  const job = jobs.get(view.job);
  const over = job?.finished_at ? now() - Date.parse(job.finished_at) : 0;
  if (view.tab === "log" && answer && job && over < 15000) fillTab();
}

async function load() {
  again = asking;  // what changes while an answer is under way may not be in it
  if (asking) return;
  asking = true;
  const id = view.job;
  try {
    const got = await api.job(id);
    if (id === view.job) {
      const first = answer === null;
      answer = got;
      if (!jobs.has(id)) updateDetail(new Set());
      showGoodput(answer.device_time);
      if (first || kTabs.find((tab) => tab.id === view.tab)?.live) fillTab();
    }
  } catch (error) {
    if (error.status === 404) answer = null;
    notice(error);
  } finally {
    asking = false;
    if ((again || id !== view.job) && view.job) load();
  }
}

async function fillTab() {
  const tab = kTabs.find((one) => one.id === view.tab) || kTabs[0];
  const key = `${view.job} ${tab.id} ${tab.id === "diff" ? view.beside : ""}`;
  // What somebody marks or has the focus in is left alone until it is not.
  const marked = getSelection();
  const inUse = (!marked.isCollapsed && parts.box.contains(marked.anchorNode)) || parts.box.contains(document.activeElement);
  if (key === tabFilled && tab.id !== "log" && inUse) return;
  if (key !== tabFilled) parts.box.replaceChildren();
  tabFilled = key;
  try {
    await tab.fill(parts.box, answer);
  } catch (error) {
    notice(error);
  }
}

function summary(job) {
  const progress = job.progress || {};
  const part = progress.total_steps > 0 ? progress.step / progress.total_steps : 0;
  const begin = Date.parse(job.started_at || job.submitted_at);
  const end = job.finished_at ? Date.parse(job.finished_at) : now();
  document.title = `${job.name} ${job.state}${part > 0 && kActive.has(job.state) ? ` ${Math.floor(100 * part)}%` : ""} – Lockstep`;
  say(parts.name, job.name);
  say(parts.id, job.id);
  parts.state.className = `pill ${job.state}`;
  say(parts.state, job.regrouping ? "regrouping" : job.state);
  say(parts.reason, (job.reason || "").split("; last log lines:")[0]);
  parts.reason.title = job.reason || "";
  parts.bar.firstChild.style.width = `${100 * part}%`;
  parts.bar.className = `progress ${job.state}`;
  parts.bar.setAttribute("aria-valuenow", Math.floor(100 * part));
  const values = {
    "step": progress.total_steps ? `${count(progress.step)} / ${count(progress.total_steps)}` : "",
    "epoch": progress.total_epochs ? `${number(Number((progress.epoch || 0).toFixed(2))) || 0} / ${progress.total_epochs}` : "",
    "train loss": progress.step ? number(progress.train_loss) : "",
    "valid. loss": number(progress.validation_loss),
    "valid. acc.": number(progress.validation_accuracy),
    "samples": rate(progress.samples_per_second),
    "time": span((end - begin) / 1000),
    "left": job.state === "running" ? span(seconds(progress.remaining)) : "",
    "workers": job.members?.length ? String(job.members.length) : "",
    "generation": job.generation ? String(job.generation) : "",
  };
  kFacts.forEach((name, i) => {
    parts.facts[i].hidden = !values[name];
    say(parts.facts[i].lastChild, values[name] || "");
  });
  const active = kActive.has(job.state);
  parts.pause.hidden = !active || job.state === "paused" || job.pause_requested;
  parts.resume.hidden = active && job.state !== "paused";
  if (job.state === "succeeded") parts.resume.hidden = true;
  parts.cancel.hidden = !active;
  parts.remove.hidden = active;
  parts.cancel.disabled = Boolean(job.cancel_requested);
}

async function steer(verb) {
  try {
    await api.steer(view.job, verb);
  } catch (error) {
    notice(error);
  }
}

export function pauseOrResume() {
  const verb = [["pause", parts.pause], ["resume", parts.resume]].find(([, button]) => !button.hidden);
  if (verb && jobs.has(view.job)) steer(verb[0]);
}

export async function cancel() {
  const job = jobs.get(view.job);
  if (!job || parts.cancel.hidden || parts.cancel.disabled) return;
  const id = job.id;
  if (await confirm(`Cancel ${job.name} (${id})? It stops at its next step; its checkpoints stay, and it can be resumed.`, "Cancel the job")) {
    if (view.job === id) await steer("cancel");
  }
}

export async function remove() {
  const job = jobs.get(view.job);
  if (!job || parts.remove.hidden || parts.remove.disabled) return;
  const id = job.id;
  if (!(await confirm(`Delete ${job.name} (${id}) for good? Its checkpoints, its model, its log and its curves go with it.`, "Delete the job"))) return;
  parts.remove.disabled = true;
  try {
    await api.steer(id, "delete");
    jobs.delete(id);
    throughput.delete(id);
    show({ job: view.job === id ? firstToShow() : view.job, beside: view.beside.filter((other) => other !== id) });
  } catch (error) {
    notice(error);
  } finally {
    parts.remove.disabled = false;
  }
}
