// Building the page. Text goes in as text nodes only, so nothing that a document, a prompt
// or a model says can become markup.

// An element: make("p", {class: "soft", onclick: f}, "text", child, ...).
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) element.style.setProperty(name, value);
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  add(element, ...children);
  return element;
}

// Append children: elements, text, lists of them; nothing for null.
export function add(element, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(child));
  }
  return element;
}

export function fill(element, ...children) {
  element.replaceChildren();
  return add(element, ...children);
}

export function options(select, names, chosen) {
  fill(select, names.map((name) => make("option", { value: name }, name)));
  if (names.includes(chosen)) select.value = chosen;
}

// What floats beside the pointer; one for the whole page.
const floating = make("div", { class: "float", hidden: true, role: "status" });
document.body.append(floating);

export function floatAt(event, ...children) {
  fill(floating, ...children);
  floating.hidden = false;
  const room = 14;
  const box = floating.getBoundingClientRect();
  const right = Math.min(event.clientX + room, innerWidth - box.width - 8);
  const below = event.clientY + room + box.height < innerHeight;
  const top = below ? event.clientY + room : event.clientY - room - box.height;
  floating.style.left = `${Math.max(8, right)}px`;
  floating.style.top = `${Math.max(8, top)}px`;
}

export function unfloat() {
  floating.hidden = true;
}

// Blanks made visible, for tokens that stand alone.
export function visible(text) {
  return text.replace(/\n/g, "⏎").replace(/\t/g, "⇥").replace(/ /g, "·") || "∅";
}

export function percent(share) {
  const value = share * 100;
  return `${value < 1 ? value.toFixed(2) : value.toFixed(value < 10 ? 1 : 0)} %`;
}

// The likeliest tokens with their shares as bars.
export function likely(tokens, shares) {
  return make("div", { class: "likely" }, tokens.map((token, i) => [
    make("span", { class: "mono" }, visible(token)),
    make("span", { class: "meter" }, make("i", { "--share": shares[i] })),
    make("span", { class: "number soft" }, percent(shares[i])),
  ]));
}

const whole = new Intl.NumberFormat("en");
export const count = (value) => whole.format(value);

export const many = (value, one) => `${count(value)} ${one}${value === 1 ? "" : "s"}`;

export function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) { value /= 1000; unit += 1; }
  return `${value < 10 && unit ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function seconds(value) {
  if (value < 90) return `${Math.round(value)} s`;
  const minutes = Math.round(value / 60);
  return minutes < 90 ? `${minutes} min` : `${(minutes / 60).toFixed(1)} h`;
}
