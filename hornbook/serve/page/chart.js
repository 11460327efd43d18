// Line charts as small SVG, drawn at the size they are shown at.

import { floatAt, make, unfloat } from "./dom.js";

const SPACE = "http://www.w3.org/2000/svg";
const MARGIN = { left: 44, right: 8, top: 6, bottom: 20 };

function svg(tag, attributes, text) {
  const element = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// A chart of lines: [{name, color: "c1", points: [[step, value]], dashed}].
export class Chart {
  constructor(title, unit) {
    this.lines = [];
    this.unit = unit;
    this.picture = svg("svg", { role: "img", "aria-label": title });
    this.element = make("figure", { class: "chart card" },
      make("figcaption", {}, make("span", {}, title), make("span", { class: "soft" }, unit)), this.picture);
    this.watcher = new ResizeObserver(() => this.draw());
    this.watcher.observe(this.picture);
    this.picture.addEventListener("pointermove", (event) => this.point(event));
    this.picture.addEventListener("pointerleave", () => { this.cross?.remove(); unfloat(); });
  }

  set(lines) {
    this.lines = lines.filter((line) => line.points.length);
    this.draw();
  }

  draw() {
    const width = this.picture.clientWidth;
    const height = this.picture.clientHeight;
    if (!width || !this.lines.length) return;
    const all = this.lines.flatMap((line) => line.points);
    this.x = scale(all.map((p) => p[0]), MARGIN.left, width - MARGIN.right, false);
    this.y = scale(all.map((p) => p[1]), height - MARGIN.bottom, MARGIN.top, true);
    this.picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.picture.replaceChildren(...this.axes(width, height), ...this.lines.map((line) => this.curve(line)));
  }

  axes(width, height) {
    const parts = [];
    for (const tick of ticks(this.y.least, this.y.most, 4)) {
      const y = this.y.at(tick);
      parts.push(svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y, y2: y }));
      parts.push(svg("text", { x: MARGIN.left - 6, y: y + 4, "text-anchor": "end" }, short(tick)));
    }
    for (const tick of ticks(this.x.least, this.x.most, Math.max(2, width / 90))) {
      const x = this.x.at(tick);
      const anchor = x > width - 24 ? "end" : "middle";
      parts.push(svg("text", { x, y: height - 4, "text-anchor": anchor }, short(tick)));
    }
    return parts;
  }

  curve({ points, color, dashed }) {
    if (points.length === 1) {
      const [x, y] = points[0];
      return svg("circle", { class: `curve ${color}`, cx: this.x.at(x), cy: this.y.at(y), r: 2.5 });
    }
    const d = points.map(([x, y], i) => `${i ? "L" : "M"}${this.x.at(x).toFixed(1)} ${this.y.at(y).toFixed(1)}`).join("");
    return svg("path", { class: `curve ${color}${dashed ? " dashed" : ""}`, d });
  }

  // The values of every line at the step under the pointer.
  point(event) {
    if (!this.lines.length || !this.x) return;
    const box = this.picture.getBoundingClientRect();
    const step = this.x.back(event.clientX - box.left);
    const found = this.lines.map((line) => ({ line, point: closest(line.points, step) }));
    const [at] = found.map(({ point }) => point[0]).sort((a, b) => Math.abs(a - step) - Math.abs(b - step));
    this.cross?.remove();
    const x = this.x.at(at);
    this.cross = svg("line", { class: "cross", x1: x, x2: x, y1: MARGIN.top, y2: box.height - MARGIN.bottom });
    this.picture.append(this.cross);
    floatAt(event, make("div", { class: "soft" }, `step ${at}`), found.map(({ line, point }) =>
      make("div", { class: "row" }, make("span", { class: `swatch ${line.color}` }), `${line.name} `,
        make("span", { class: "number" }, short(point[1], 4)))));
  }

  close() {
    this.watcher.disconnect();
  }
}

function scale(values, from, to, padded) {
  let least = Infinity;
  let most = -Infinity;
  for (const value of values) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  const space = (most - least) * 0.06 || Math.abs(most) * 0.1 || 1;
  if (padded) { most += space; least = least >= 0 ? Math.max(0, least - space) : least - space; }
  else if (most === least) most = least + 1;
  const width = most - least;
  return {
    least, most,
    at: (value) => from + ((value - least) / width) * (to - from),
    back: (place) => least + ((place - from) / (to - from)) * width,
  };
}

function ticks(least, most, wanted) {
  const rough = (most - least) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= rough);
  const found = [];
  for (let tick = Math.ceil(least / step) * step; tick <= most + step * 1e-9; tick += step) found.push(tick);
  return found;
}

function closest(points, step) {
  let low = 0;
  let high = points.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < step) low = middle;
    else high = middle;
  }
  return step - points[low][0] < points[high][0] - step ? points[low] : points[high];
}

export function short(value, digits = 3) {
  const size = Math.abs(value);
  if (size && (size < 1e-3 || size >= 1e7)) return value.toExponential(1).replace("e+", "e");
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(digits))}M`;
  if (size >= 1e4) return `${Number((value / 1e3).toPrecision(digits))}k`;
  return String(Number(value.toPrecision(digits)));
}

