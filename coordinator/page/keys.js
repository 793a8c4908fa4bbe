// One key for each thing that is done often; none with Ctrl, Alt or Meta, which are the browser's.
import { changeStrength, resetRange, toggleLog, toggleX } from "./curve_panel.js";
import { cancel, pauseOrResume, remove } from "./detail.js";
import { dialogIsOpen, showKeys } from "./dialogs.js";
import { $ } from "./dom.js";
import { move } from "./job_list.js";
import { show, toggleBeside, view } from "./state.js";
import { kTabs } from "./tabs.js";
import { toggleTheme } from "./theme.js";

const kActions = {
  "j": () => move(1),
  "k": () => move(-1),
  "v": () => toggleBeside(view.job),
  "l": toggleLog,
  "x": toggleX,
  "z": resetRange,
  "[": () => changeStrength(-0.1),
  "]": () => changeStrength(0.1),
  "p": pauseOrResume,
  "c": cancel,
  "d": remove,
};
const kAnywhere = {
  "w": () => show({ page: view.page === "workers" ? "jobs" : "workers" }),
  "t": toggleTheme,
  "?": showKeys,
  "/": () => { show({ page: "jobs" }); $("search").focus(); $("search").select(); },
};

export function setUpKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || dialogIsOpen()) return;
    const writes = event.target.matches("input:not([type=range]), select, textarea");
    if (event.key === "Escape" && writes) { $("rows").focus(); return; }
    if (writes) return;
    let action = kAnywhere[event.key] || (view.page === "jobs" && kActions[event.key]);
    const number = Number(event.key);
    if (view.page === "jobs" && number >= 1 && number <= kTabs.length) action = () => show({ tab: kTabs[number - 1].id });
    if (!action) return;
    event.preventDefault();
    action();
  });
}
