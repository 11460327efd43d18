// Inside the model while it reads: what it expects, what each layer would say, where it looks.

import { get, models, send } from "./api.js";
import { count, fill, floatAt, likely, make, options, percent, unfloat, visible } from "./dom.js";

const kept = { model: null, text: "def decode(self, data):\n    return data.decode(", token: 0, layer: 0 };

export async function show(page, here) {
  const [names, runs] = await Promise.all([models(), get("/look/runs")]);
  if (!here()) return null;
  if (!names.length) {
    fill(page, make("p", { class: "empty" }, "There is no trained model to look into yet."));
    return null;
  }
  if (!names.includes(kept.model)) kept.model = names[0];
  const scope = new Scope(runs.map((run) => run.name));
  const select = make("select", { "aria-label": "Model", onchange: () => { kept.model = select.value; scope.look(); } });
  options(select, names, kept.model);
  const text = make("textarea", { rows: "3", class: "mono", "aria-label": "Text", maxlength: "2000" });
  text.value = kept.text;
  const look = (event) => { event.preventDefault(); kept.text = text.value; scope.look(); };
  text.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) look(event); });
  fill(page, make("div", { class: "stack" },
    make("form", { class: "stack", onsubmit: look }, text,
      make("div", { class: "row" }, make("label", {}, "Model", select), make("button", { class: "main" }, "Look"))),
    scope.element));
  await scope.look();
  return null;
}

class Scope {
  constructor(runs) {
    this.runs = runs;
    this.turn = 0;
    this.element = make("div", { class: "stack" });
  }

  async look() {
    const mine = ++this.turn;  // an answer that was overtaken is thrown away
    let seen;
    try {
      seen = await send("/look/model", { model: kept.model, text: kept.text });
    } catch (error) {
      if (mine === this.turn) fill(this.element, make("p", { class: "wrong" }, error.message));
      return;
    }
    if (mine !== this.turn) return;
    this.seen = seen;
    kept.token = Math.min(kept.token || this.seen.tokens.length - 1, this.seen.tokens.length - 1);
    kept.layer = Math.min(kept.layer, this.seen.heads.length - 1);
    this.strip = make("div", { class: "strip" });
    this.expects = make("div");
    this.lens = make("div", { class: "scroll" });
    this.maps = make("div", { class: "heads" });
    this.near = make("div", { class: "stack" });
    fill(this.element,
      make("section", { class: "two columns" },
        card("Tokens", "Darker is less expected. Choose one.", this.strip),
        card("What comes next", "After the chosen token, by the whole model.", this.expects)),
      card("Layer by layer", "What each layer would say next if it were the last.", this.lens),
      this.attention(),
      this.nearest());
    this.draw();
    await this.drawMaps();
  }

  draw() {
    const { tokens, shares, next } = this.seen;
    fill(this.strip, tokens.map((token, i) => make("button", {
      "--heat": shares[i] === null ? 0 : 1 - shares[i], "aria-pressed": String(i === kept.token),
      onclick: () => { kept.token = i; this.draw(); this.outline(); },
      onpointermove: (event) => floatAt(event, shares[i] === null ? "the first" : `expected with ${percent(shares[i])}`),
      onpointerleave: unfloat,
    }, visible(token))));
    fill(this.expects, likely(next[kept.token].tokens, next[kept.token].shares));
    this.drawLens();
  }

  drawLens() {
    const { tokens, lens } = this.seen;
    const head = make("tr", {}, make("th", {}, ""), tokens.map((token) => make("th", {}, visible(token))));
    const rows = lens.map((layer, n) => make("tr", {}, make("th", {}, `layer ${n + 1}`),
      layer.tokens.map((token, i) => make("td", {
        "--heat": layer.shares[i], class: i === kept.token ? "chosen" : undefined,
        onpointermove: (event) => floatAt(event, make("span", { class: "mono" }, visible(token)), ` ${percent(layer.shares[i])}`),
        onpointerleave: unfloat,
      }, visible(token)))));
    fill(this.lens, make("table", { class: "lens" }, make("thead", {}, head), make("tbody", {}, rows.reverse())));
  }

  attention() {
    const layers = this.seen.heads.map((_, n) => String(n + 1));
    const select = make("select", { "aria-label": "Layer", onchange: () => { kept.layer = Number(select.value) - 1; this.drawMaps(); } });
    options(select, layers, String(kept.layer + 1));
    return make("section", { class: "card stack" },
      make("div", { class: "row end" },
        make("div", {}, make("h2", {}, "Where it looks"),
          make("p", { class: "soft small" }, "Each row is a token, each column one before it; darker is more.")),
        make("label", {}, "Layer", select)),
      this.maps);
  }

  async drawMaps() {
    const { layer } = kept;
    const { turn } = this;
    const found = await send("/look/model", { model: kept.model, text: kept.text, layer });
    if (layer !== kept.layer || turn !== this.turn) return;
    if (!found.heads) {
      fill(this.maps, make("p", { class: "soft" }, "This kind of attention keeps no weights that could be shown."));
      return;
    }
    const weights = Uint8Array.from(atob(found.weights), (letter) => letter.charCodeAt(0));
    const size = found.time;
    this.canvases = Array.from({ length: found.heads }, (_, head) => {
      const part = weights.subarray(head * size * size, (head + 1) * size * size);
      return this.map(part, size, head);
    });
    fill(this.maps, this.canvases.map((canvas, head) =>
      make("figure", { class: "head" }, canvas, make("figcaption", {}, `head ${head + 1}`))));
  }

  map(weights, size, head) {
    const canvas = make("canvas", { width: size, height: size, "aria-label": `Attention of head ${head + 1}`,
      onpointermove: (event) => {
        const box = canvas.getBoundingClientRect();
        const [from, to] = [event.clientY - box.top, event.clientX - box.left].map((place, i) =>
          Math.max(0, Math.min(size - 1, Math.floor((place / (i ? box.width : box.height)) * size))));
        floatAt(event, make("span", { class: "mono" }, visible(this.seen.tokens[from])), " looks at ",
          make("span", { class: "mono" }, visible(this.seen.tokens[to])), ` with ${percent(weights[from * size + to] / 255)}`);
      },
      onpointerleave: unfloat,
    });
    canvas.paint = () => paint(canvas, weights, size);
    canvas.paint();
    return canvas;
  }

  outline() {
    for (const canvas of this.canvases || []) canvas.paint();
  }

  nearest() {
    if (!this.runs.length) return null;
    const select = make("select", { "aria-label": "Run" });
    const own = this.runs.find((name) => kept.model === name || kept.model.startsWith(`${name}-`));
    options(select, this.runs, own);
    const button = make("button", { onclick: () => this.search(select.value, button) }, "Find");
    return make("section", { class: "card stack" },
      make("div", { class: "row end" },
        make("div", {}, make("h2", {}, "The nearest training text"),
          make("p", { class: "soft small" }, "The places of the shards that share most with this text.")),
        make("div", { class: "row" }, make("label", {}, "Run", select), button)),
      this.near);
  }

  async search(run, button) {
    button.disabled = true;
    try {
      const found = await send("/look/nearest", { run, text: kept.text });
      const part = found.searched < found.tokens ? `Only the first ${count(found.searched)} of ${count(found.tokens)} tokens were searched.` : `${count(found.tokens)} tokens were searched.`;
      fill(this.near, make("p", { class: "small soft" }, part), found.places.length ? found.places.map((place) =>
        make("div", { class: "specimen" },
          make("div", { class: "row small" }, make("b", {}, `${percent(place.score)} shared`),
            make("span", { class: "soft" }, `${place.shard}, token ${count(place.token)}, document ${place.document.slice(0, 12)}`)),
          make("pre", {}, make("span", { class: "soft" }, place.before), make("mark", {}, place.text), make("span", { class: "soft" }, place.after))))
        : make("p", {}, "Nothing alike was found."));
    } catch (error) {
      fill(this.near, make("p", { class: "wrong" }, error.message));
    }
    button.disabled = false;
  }
}

function card(title, about, content) {
  return make("section", { class: "card stack" },
    make("div", {}, make("h2", {}, title), make("p", { class: "soft small" }, about)), content);
}

// Weights as shades of the accent; the chosen token's row stands out.
function paint(canvas, weights, size) {
  const style = getComputedStyle(document.documentElement);
  const [back, front] = ["--card", "--accent"].map((name) => rgb(style.getPropertyValue(name)));
  const context = canvas.getContext("2d");
  const picture = context.createImageData(size, size);
  for (let i = 0; i < weights.length; i += 1) {
    const share = Math.sqrt(weights[i] / 255);  // so that faint ones are seen
    const dim = Math.floor(i / size) === kept.token ? 1 : 0.75;
    for (let c = 0; c < 3; c += 1) picture.data[4 * i + c] = back[c] + (front[c] - back[c]) * share * dim;
    picture.data[4 * i + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
}

function rgb(hex) {
  const value = parseInt(hex.trim().slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}
