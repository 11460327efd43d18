// Any text in the pieces of this run's tokenizer, and of others beside it.

import { get, send } from "./api.js";
import { count, fill, floatAt, make, many, unfloat, visible } from "./dom.js";

const kept = { text: "def read(path: str) -> bytes:\n    \"\"\"Größe, naïveté, 数字 and 🐈.\"\"\"\n    return 1024", runs: null };
const MOST = 4;
const WAIT = 150;  // milliseconds after the last key

export async function show(page, here) {
  const names = await get("/look/tokenizers");
  if (!here()) return null;
  if (!names.length) {
    fill(page, make("p", { class: "empty" }, "No run here has a tokenizer yet."));
    return null;
  }
  kept.runs = (kept.runs || names.slice(0, 2)).filter((name) => names.includes(name));
  const text = make("textarea", { rows: "5", class: "mono", "aria-label": "Text", maxlength: "20000" });
  text.value = kept.text;
  const chooser = make("div", { class: "row" });
  const columns = make("div", { class: "pair" });
  let timer = 0;
  let asked = 0;

  async function draw() {
    const mine = ++asked;
    kept.text = text.value;
    if (!kept.runs.length) { fill(columns); return; }
    try {
      const found = await send("/look/split", { text: kept.text, runs: kept.runs });
      if (mine === asked) fill(columns, found.map(column));
    } catch (error) {
      if (mine === asked) fill(columns, make("p", { class: "wrong" }, error.message));
    }
  }
  function choose() {
    fill(chooser, names.map((name) => {
      const on = kept.runs.includes(name);
      const box = make("input", {
        type: "checkbox", checked: on, disabled: !on && kept.runs.length >= MOST,
        onchange: () => {
          kept.runs = box.checked ? [...kept.runs, name] : kept.runs.filter((other) => other !== name);
          choose();
          draw();
        },
      });
      return make("label", {}, box, name);
    }));
  }
  text.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(draw, WAIT); });
  choose();
  fill(page, make("div", { class: "stack" }, text, chooser, columns));
  await draw();
  return () => clearTimeout(timer);
}

function column(found) {
  const size = found.pieces.length;
  return make("section", { class: "card stack" },
    make("div", { class: "row end" }, make("h2", {}, found.name),
      make("span", { class: "small soft number" }, `${found.kind}, ${count(found.vocab_size)} tokens`)),
    make("div", { class: "split" }, found.pieces.map((piece, i) => make("span", {
      class: `piece p${i % 4}`,
      onpointermove: (event) => floatAt(event, make("span", { class: "mono" }, visible(piece)), ` id ${found.ids[i]}`),
      onpointerleave: unfloat,
    }, shown(piece)))),
    make("div", { class: "small soft number" },
      `${many(size, "piece")}${found.bytes_per_token ? `, ${found.bytes_per_token} bytes each` : ""}`));
}

// A piece that is no whole character is shown by its bytes.
function shown(piece) {
  return piece.startsWith("bytes:") ? piece.slice(6).replaceAll("\\x", "‹").replace(/‹(..)/g, "‹$1›") : piece;
}
