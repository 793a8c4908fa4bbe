// Where a job's device time went: a share in percent, a stacked bar, and the same as a text for who does not see the bar.
import { h, say } from "./dom.js";
import { count } from "./format.js";

const kKinds = [
  ["compute", "gradient, update, validation, test"],
  ["communication", "in the collective, waiting for slower ranks included"],
  ["input", "waiting for batches"],
  ["checkpoint", "as far as training waits for it"],
  ["recovery", "between generations, and what a dead trainer took with it"],
  ["idle", "the first start, and the end; no part of goodput"],
];
const parts = {};

const inSeconds = (value) => `${value < 1000 ? value.toFixed(1) : count(value)} s`;
const known = (value) => (Number.isFinite(value) && value > 0 ? value : 0);

export function goodputPanel() {
  parts.share = h("dd");
  parts.slices = kKinds.map(([kind]) => h("span", { class: `kind-${kind}` }));
  parts.values = kKinds.map(() => h("dd"));
  parts.all = h("section", { class: "goodput", "aria-label": "Goodput: where device time goes", hidden: true },
    h("div", { class: "slices", "aria-hidden": "true" }, parts.slices),
    h("dl", {}, h("div", { class: "share", title: "compute and communication, by all device time but idle" }, h("dt", {}, "goodput"), parts.share),
      kKinds.map(([kind, what], i) => h("div", { title: `device-seconds: ${what}` },
        h("dt", {}, h("span", { class: `box kind-${kind}`, "aria-hidden": "true" }), kind), parts.values[i]))));
  return parts.all;
}

// What the coordinator answers for a job; nothing is shown before its devices said anything.
export function showGoodput(time) {
  const seconds = kKinds.map(([kind]) => known(time?.seconds?.[kind]));
  parts.all.hidden = !seconds.some((value) => value > 0);
  say(parts.share, Number.isFinite(time?.goodput) ? `${(100 * time.goodput).toFixed(1)} %` : "–");
  const sum = seconds.reduce((all, value) => all + value, 0);
  seconds.forEach((value, i) => {
    parts.slices[i].style.width = `${sum > 0 ? (100 * value) / sum : 0}%`;
    say(parts.values[i], inSeconds(value));
  });
}
