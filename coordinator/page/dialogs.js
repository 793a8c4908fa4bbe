// Notices, and the questions that the page asks.
import * as api from "./api.js";
import { $, h } from "./dom.js";

const kKeys = [
  ["j k", "next, previous job (also ↓ ↑ in the list)"],
  ["/", "filter"],
  ["v", "keep the open job in the chart while others are opened; again: no longer"],
  ["l", "logarithmic axis"],
  ["x", "step or epoch"],
  ["[ ]", "less, more smoothing"],
  ["z", "whole range"],
  ["← →", "cursor, in the chart; with Shift by larger steps"],
  ["1 … 6", "overview, timeline, checkpoints, log, spec, difference"],
  ["p", "pause or resume"],
  ["c", "cancel; asks first"],
  ["d", "delete a job that has ended; asks first"],
  ["w", "workers, and back"],
  ["t", "light or dark"],
  ["Esc", "close; leave the filter"],
  ["?", "these keys"],
];

export function notice(error) {
  if (error.status === 401) return askToken(error.message);
  const text = error.message || String(error);
  if ([...$("notices").children].some((other) => other.firstChild.textContent === text)) return;
  const box = h("div", { class: "notice" }, h("span", {}, text),
    h("button", { type: "button", "aria-label": "Close", onclick: () => box.remove() }, "×"));
  $("notices").append(box);
  setTimeout(() => box.remove(), 12000);
}

function open(...content) {
  const box = h("dialog", { onclose: () => box.remove() }, ...content);
  document.body.append(box);
  box.showModal();
  return box;
}

export const dialogIsOpen = () => document.querySelector("dialog") !== null;

export function confirm(text, action) {
  return new Promise((resolve) => {
    const box = open(h("form", { method: "dialog" }, h("p", {}, text), h("footer", {},
      h("button", { value: "" }, "Back"), h("button", { value: "yes", class: "danger", autofocus: true, id: "confirm" }, action))));
    box.addEventListener("close", () => resolve(box.returnValue === "yes"));
  });
}

export function askToken(why = "") {
  if (dialogIsOpen()) return;
  const input = h("input", { type: "password", id: "token-text", autocomplete: "off", value: api.token.get(), "aria-label": "Token" });
  const box = open(h("form", { method: "dialog", onsubmit: () => { api.token.set(input.value.trim()); dispatchEvent(new Event("token")); } },
    h("p", {}, why ? `The coordinator says: ${why}` : "The access token of this tab. It is forgotten when the tab closes."),
    input, h("footer", {}, h("button", { type: "button", onclick: () => { api.token.set(""); box.close(); } }, "Forget"),
      h("button", { class: "main", id: "token-use" }, "Use"))));
}

export function showKeys() {
  if (dialogIsOpen()) return;
  open(h("form", { method: "dialog" }, h("table", { class: "keys" }, h("tbody", {}, kKeys.map(([keys, what]) =>
    h("tr", {}, h("td", {}, keys.split(" ").map((key) => h("kbd", {}, key))), h("td", {}, what))))),
  h("footer", {}, h("button", { class: "main", autofocus: true }, "Close"))));
}
