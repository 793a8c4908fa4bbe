// Elements without markup: whatever a user wrote stays text.

export const $ = (id) => document.getElementById(id);

// h("td", {class: "number", onclick: f}, "text", another)
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  set(element, properties);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function svg(tag, properties = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  set(element, properties);
  element.append(...children);
  return element;
}

function set(element, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) {
      element.addEventListener(name.slice(2), value);
    } else {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
}

// Sets a text only where it changed: a node that is left alone costs no layout and keeps a selection.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
