// Small tools for building the page. Text only ever enters the document as text nodes and attributes, never as markup.

const SVG = "http://www.w3.org/2000/svg";

/** A new element. `properties`: class, on* handlers, attributes (null and false leave one out), children as the rest. */
export function el(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** A new SVG element, made as `el` makes HTML. */
export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** An icon made of stroked paths in a 24 x 24 box; decoration, so hidden from screen readers. */
export function icon(...paths) {
  const shapes = paths.map((d) => svg("path", { d }));
  return svg("svg", { class: "tts-icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, ...shapes);
}

/** Sets an attribute, or takes it away when `value` is null or false. */
export function attribute(node, name, value) {
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
}

/** Writes `text` into a node that holds nothing else, only when it differs: live regions then speak changes alone. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Replaces the words of a Gradio element in place: its own text nodes stay, so Gradio loses none. */
export function relabel(node, text) {
  const words = [...node.childNodes].filter((child) => child.nodeType === Node.TEXT_NODE && child.data.trim());
  if (words.length === 0) node.append(text);
  else if (words[0].data.trim() !== text) words[0].data = text;
}

/** Sets the value of an input that Gradio owns, so that Gradio hears of it as if a person had done it. */
export function enter(input, value) {
  const prototype = input instanceof HTMLTextAreaElement ? HTMLTextAreaElement : HTMLInputElement;
  Object.getOwnPropertyDescriptor(prototype.prototype, "value").set.call(input, String(value));
  input.dispatchEvent(new Event("input", { bubbles: true }));
}

/** Resolves with the element of that id, as soon as it is in the document. */
export function appear(id) {
  const found = document.getElementById(id);
  if (found) return Promise.resolve(found);
  return new Promise((resolve) => {
    awaited.push([id, resolve]);
    appearing.observe(document.documentElement, { childList: true, subtree: true });
  });
}

// One for all of them: a page that is being put together changes hundreds of times.
const awaited = [];
const appearing = new MutationObserver(() => {
  for (let at = awaited.length - 1; at >= 0; at -= 1) {
    const node = document.getElementById(awaited[at][0]);
    if (node) awaited.splice(at, 1)[0][1](node);
  }
  if (!awaited.length) appearing.disconnect();
});

/** Seconds as m:ss.s, the way the player shows them. */
export function clock(seconds) {
  const minutes = Math.floor(seconds / 60);
  const rest = (Math.floor((seconds - minutes * 60) * 10) / 10).toFixed(1);
  return `${minutes}:${rest.padStart(4, "0")}`;
}
