// What became of the text: the funnel, what each rule dropped, near-duplicates, one story.

import { get } from "./api.js";
import { bytes, count, fill, make, many, options, percent } from "./dom.js";

const kept = { run: null };
const PAGE = 8;  // clusters at a time

export async function show(page, here) {
  const names = (await get("/look/runs")).map((run) => run.name);
  if (!here()) return null;
  if (!names.length) {
    fill(page, make("p", { class: "empty" }, "Serve a run's folder to see what became of its text."));
    return null;
  }
  if (!names.includes(kept.run)) kept.run = names[0];
  const select = make("select", { "aria-label": "Run", onchange: () => { kept.run = select.value; draw(); } });
  options(select, names, kept.run);
  const content = make("div", { class: "stack" });
  fill(page, make("div", { class: "stack" }, make("label", {}, "Run", select), content));

  async function draw() {
    const run = kept.run;
    const [steps, groups] = await Promise.all([
      get("/look/funnel", { run }), get("/look/clusters", { run, start: 0, count: PAGE }),
    ]);
    if (run !== kept.run || !here()) return;
    if (!steps.length) {
      fill(content, make("p", { class: "empty" }, "No text has gone through this run yet."));
      return;
    }
    fill(content, funnel(steps), dropped(steps), skipped(steps), duplicates(run, groups), story(run));
  }
  await draw();
  return null;
}

function funnel(steps) {
  const most = steps[0].bytes_in || steps[0].bytes_out || 1;
  return make("section", { class: "card stack" }, make("h2", {}, "What came through"),
    make("div", { class: "funnel" }, steps.map((step) => make("div", { class: "step" },
      make("span", {}, step.name),
      make("span", { class: "track" }, make("i", { "--share": Math.min(1, step.bytes_out / most) })),
      make("span", { class: "number small soft" }, `${many(step.documents_out, "document")}, ${bytes(step.bytes_out)}`)))));
}

function dropped(steps) {
  const rows = steps.flatMap((step) => step.reasons.map((reason) => ({ step, ...reason })));
  return make("section", { class: "card" }, make("h2", {}, "What was dropped, and why"),
    rows.length ? rows.map((row) => make("details", { class: "reason" },
      make("summary", {}, make("span", {}, row.reason, " ", make("span", { class: "tag" }, row.step.name)),
        make("span", { class: "number small soft" },
          `${many(row.documents, "document")}, ${percent(row.bytes / Math.max(1, row.step.bytes_in))} of the text`)),
      make("div", { class: "specimens" }, row.examples.map(specimen),
        !row.examples.length && make("p", { class: "soft small" }, "No example was kept."))))
      : make("p", { class: "soft" }, "Nothing."));
}

function skipped(steps) {
  const counts = steps.flatMap((step) => Object.entries(step.skipped_count));
  if (!counts.length) return null;
  const listed = steps.flatMap((step) => step.skipped);
  return make("section", { class: "card" }, make("h2", {}, "Files that never became documents"),
    counts.map(([reason, number]) => make("details", { class: "reason" },
      make("summary", {}, make("span", {}, reason), make("span", { class: "number small soft" }, many(number, "file"))),
      make("ul", { class: "mono" }, listed.filter((file) => file.reason.startsWith(reason)).slice(0, 40)
        .map((file) => make("li", {}, file.path))))));
}

function specimen(example) {
  return make("div", { class: "specimen" },
    make("div", { class: "row small" }, make("b", {}, example.path || example.id),
      example.note && make("span", { class: "soft" }, example.note)),
    make("pre", {}, example.text || ""));
}

function duplicates(run, first) {
  const list = make("div", { class: "stack" });
  const more = make("button", { onclick: load }, "Show more");
  let shown = 0;
  function put(groups) {
    shown += groups.clusters.length;
    list.append(...groups.clusters.map(cluster));
    more.hidden = shown >= groups.total;
  }
  async function load() {
    more.disabled = true;
    put(await get("/look/clusters", { run, start: shown, count: PAGE }));
    more.disabled = false;
  }
  put(first);
  return make("section", { class: "card stack" },
    make("div", {}, make("h2", {}, "Near-duplicates"),
      make("p", { class: "soft small" }, first.total
        ? `${many(first.total, "group")} of documents that are almost the same; one of each stays.`
        : "No two documents are almost the same.")), list, more);
}

function cluster(group) {
  return make("details", { class: "reason" },
    make("summary", {}, make("span", {}, group.documents[0].path || group.documents[0].doc),
      make("span", { class: "number small soft" }, `${count(group.size)} alike`)),
    make("div", { class: "pair" }, group.documents.map((document, i) => make("div", { class: "specimen" },
      make("div", { class: "row small" }, make("b", {}, document.path || document.doc),
        make("span", { class: i ? "tag" : "tag kept" }, i ? `${percent(document.jaccard)} alike` : "kept")),
      make("pre", {}, document.text || "")))));
}

function story(run) {
  const input = make("input", { placeholder: "the beginning of its id", "aria-label": "Document", size: "24" });
  const told = make("div", { class: "stack small" });
  const ask = async (event) => {
    event.preventDefault();
    try {
      const steps = await get("/look/story", { run, document: input.value.trim() });
      fill(told, steps.map((step) => make("div", {}, make("b", {}, step.stage, " "),
        step.present ? `stays${step.side ? ` (${step.side})` : ""}: ${step.path}, ${bytes(step.bytes)}` : "went here",
        step.notes && make("div", { class: "mono soft" }, Object.entries(step.notes)
          .filter(([, value]) => value !== null && value !== "").map(([key, value]) => `${key} ${value}`).join(" · ")))));
    } catch (error) {
      fill(told, make("p", { class: "wrong" }, error.message));
    }
  };
  return make("section", { class: "card stack" }, make("h2", {}, "One document's story"),
    make("form", { class: "row", onsubmit: ask }, input, make("button", {}, "Tell")), told);
}
