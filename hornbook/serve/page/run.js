// A run as it learns: its stages, curves that grow, events and samples; several runs overlaid.

import { get } from "./api.js";
import { Chart, short } from "./chart.js";
import { fill, make, options, seconds } from "./dom.js";

const PICTURES = [  // title, unit, the diary's keys: the first drawn through, others dashed
  ["Loss", "nats per token", ["loss", "validation_loss"]],
  ["Bits per byte", "of text", ["bits_per_byte"]],
  ["Learning rate", "", ["rate"]],
  ["Gradient norm", "", ["gradient_norm"]],
  ["Throughput", "tokens per second", ["tokens_per_second"]],
  ["Accuracy", "share of pairs", ["accuracy"]],
  ["Margin", "nats", ["margin"]],
  ["Reward", "", ["reward"]],
];
const EVERY = 2000;  // milliseconds between two looks at a run under way
const MOST = 4;  // runs in one picture
const kept = { stage: "pretrain", runs: null };

export async function show(page, here) {
  const overview = await get("/look/runs");
  if (!here()) return null;
  if (!overview.length) {
    fill(page, make("p", { class: "empty" },
      "This server serves a model on its own, without a run around it. Serve a run's folder to see it here."));
    return null;
  }
  const view = new View(overview);
  fill(page, view.element);
  view.redraw();
  view.timer = setInterval(() => view.update(), EVERY);
  return () => view.close();
}

class View {
  constructor(overview) {
    this.overview = overview;
    this.charts = [];
    this.diaries = new Map();
    const known = overview.map((run) => run.name);
    kept.runs = (kept.runs || [known[0]]).filter((name) => known.includes(name));
    if (!kept.runs.length) kept.runs = [known[0]];
    this.stage = make("select", { "aria-label": "Stage", onchange: () => { kept.stage = this.stage.value; this.redraw(); } });
    this.runs = make("div", { class: "row" });
    this.stages = make("div", { class: "timeline" });
    this.pictures = make("div", { class: "charts" });
    this.notes = make("div", { class: "stack" });
    this.element = make("div", { class: "stack" },
      make("div", { class: "row end" }, this.runs, make("label", {}, "Stage", this.stage)),
      this.stages, this.pictures, this.notes);
    this.chooser();
  }

  color(name) {
    return `c${(kept.runs.indexOf(name) % MOST) + 1}`;
  }

  chooser() {
    fill(this.runs, this.overview.map(({ name }) => {
      const on = kept.runs.includes(name);
      const box = make("input", {
        type: "checkbox", checked: on, disabled: !on && kept.runs.length >= MOST,
        onchange: () => {
          kept.runs = box.checked ? [...kept.runs, name] : kept.runs.filter((other) => other !== name);
          this.chooser();
          this.redraw();
        },
      });
      return make("label", {}, box, make("span", { class: `swatch ${on ? this.color(name) : ""}` }), name);
    }));
  }

  chosen() {
    return kept.runs.map((name) => this.overview.find((run) => run.name === name)).filter(Boolean);
  }

  // Everything anew: other runs, another stage.
  async redraw() {
    const trained = [...new Set(this.chosen().flatMap((run) => run.stages.filter((s) => s.trains).map((s) => s.name)))];
    if (!trained.includes(kept.stage) && trained.length) kept.stage = trained[0];
    options(this.stage, trained, kept.stage);
    this.stage.parentElement.hidden = !trained.length;
    this.diaries.clear();
    for (const chart of this.charts) chart.close();
    this.charts = [];
    fill(this.pictures);
    this.timeline();
    await this.read();
  }

  async update() {
    if (document.hidden || this.busy) return;
    this.busy = true;
    try {
      this.overview = await get("/look/runs");
      this.timeline();
      await this.read();
    } catch { /* the server is away for a moment; the next look tells */ }
    this.busy = false;
  }

  timeline() {
    fill(this.stages, this.chosen().map((run) => make("div", { class: "stages soft" },
      make("b", {}, run.name),
      run.stages.length ? run.stages.map((stage) => stage.state === "done"
        ? make("span", {}, `${stage.name} `, make("span", { class: "number" }, seconds(stage.seconds)))
        : make("span", { class: "live" }, `${stage.name} under way`)) : "nothing yet")));
  }

  // What the diaries have new since the last look.
  async read() {
    const stage = kept.stage;
    const news = await Promise.all(this.chosen().map(async ({ name }) => {
      const diary = this.diaries.get(name) || { curves: {}, events: [], samples: [], after: 0 };
      const more = await get("/look/diary", { run: name, stage, after: diary.after });
      return [name, more, diary];
    }));
    if (stage !== kept.stage) return;
    for (const [name, more, diary] of news) this.diaries.set(name, joined(more.anew ? null : diary, more));
    this.draw();
  }

  draw() {
    for (const [title, unit, keys] of PICTURES) {
      const lines = this.lines(keys);
      let chart = this.charts.find((other) => other.title === title);
      if (!lines.length) continue;
      if (!chart) {
        chart = new Chart(title, unit);
        chart.title = title;
        this.charts.push(chart);
        this.pictures.append(chart.element);
      }
      chart.set(lines);
    }
    if (!this.charts.length) fill(this.pictures, make("p", { class: "empty" }, "Nothing has been trained here yet."));
    fill(this.notes, this.happened(), this.wrote());
  }

  lines(keys) {
    return kept.runs.flatMap((name) => keys.map((key, i) => ({
      name: i ? `${name}, held out` : name,
      color: this.color(name), dashed: i > 0,
      points: this.diaries.get(name)?.curves[key] || [],
    }))).filter((line) => line.points.length);
  }

  happened() {
    const events = kept.runs.flatMap((name) => (this.diaries.get(name)?.events || []).map((event) => ({ name, ...event })));
    if (!events.length) return null;
    return make("section", { class: "card stack" }, make("h2", {}, "Events"),
      make("ul", { class: "small" }, events.reverse().map((event) => make("li", {},
        make("b", {}, `step ${event.step}, ${event.kind} `), make("span", { class: "soft" },
          [event.name, ...Object.entries(event.facts).map(([k, v]) => `${k} ${typeof v === "number" ? short(v) : v}`)].join(" · "))))));
  }

  wrote() {
    const samples = kept.runs.flatMap((name) => (this.diaries.get(name)?.samples || []).map((sample) => ({ name, ...sample })));
    if (!samples.length) return null;
    return make("section", { class: "card stack" }, make("h2", {}, "What it wrote on the way"),
      make("div", { class: "pair" }, samples.slice(-8).reverse().map((sample) => make("div", { class: "specimen" },
        make("div", { class: "small soft" }, `${sample.name}, step ${sample.step}`),
        make("pre", {}, make("span", { class: "soft" }, sample.prompt), sample.text)))));
  }

  close() {
    clearInterval(this.timer);
    for (const chart of this.charts) chart.close();
  }
}

function joined(diary, more) {
  if (!diary) return more;
  const curves = { ...diary.curves };
  for (const [key, points] of Object.entries(more.curves)) curves[key] = [...(curves[key] || []), ...points];
  return { curves, events: [...diary.events, ...more.events], samples: [...diary.samples, ...more.samples], after: more.after };
}
