// Talking to one model, or to two side by side.

import { models, stream } from "./api.js";
import { fill, floatAt, likely, make, many, options, unfloat } from "./dom.js";

const START = { temperature: 0.7, top_p: 1, top_k: 50, max_tokens: 200, seed: "" };
const LIMITS = {
  temperature: [0, 5, 0.1], top_p: [0, 1, 0.05], top_k: [0, 100000, 1],
  max_tokens: [1, 100000, 1], seed: [0, 1e9, 1],
};

// What stays while other tabs are looked at: turns are {question, answers: {model: Answer}}.
const kept = { turns: [], settings: { ...START }, system: "", model: null, other: "", heat: false };

export async function show(page, here) {
  const names = await models();
  if (!here()) return null;
  if (!names.length) {
    fill(page, make("p", { class: "empty" },
      "No model is trained in this run yet. The Run tab shows how far it is."));
    return null;
  }
  if (!names.includes(kept.model)) kept.model = names[0];
  if (!names.includes(kept.other)) kept.other = "";
  const turns = make("div", { class: "turns", "aria-live": "polite" });
  const chat = new Chat(turns);
  fill(page, make("section", { class: "chat" }, controls(chat, names), turns, chat.form()));
  chat.draw();
  return () => chat.stop();
}

function controls(chat, names) {
  const first = make("select", { "aria-label": "Model", onchange: () => { kept.model = first.value; chat.draw(); } });
  options(first, names, kept.model);
  const second = make("select", { "aria-label": "Compare with", onchange: () => { kept.other = second.value; chat.draw(); } });
  options(second, ["", ...names], kept.other);
  second.options[0].textContent = "nobody";
  const heat = make("input", { type: "checkbox", checked: kept.heat, onchange: () => { kept.heat = heat.checked; chat.draw(); } });
  return make("div", { class: "stack" },
    make("div", { class: "row end" },
      make("div", { class: "row" },
        make("label", {}, "Model", first),
        names.length > 1 && make("label", {}, "beside", second),
        make("label", {}, heat, "show how sure it is")),
      make("button", { onclick: () => chat.clear() }, "New chat")),
    make("details", {}, make("summary", {}, "Sampling and instructions"), settings()));
}

function settings() {
  const numbers = Object.entries(LIMITS).map(([name, [min, max, step]]) => {
    const input = make("input", {
      type: "number", min: String(min), max: String(max), step: String(step), value: String(kept.settings[name]),
      placeholder: name === "seed" ? "any" : undefined,
      oninput: () => { kept.settings[name] = input.value; },
    });
    return make("label", { class: "over" }, name.replace("_", " "), input);
  });
  const system = make("textarea", {
    rows: "1", placeholder: "Instructions before the conversation", "aria-label": "Instructions",
    oninput: () => { kept.system = system.value; },
  });
  system.value = kept.system;
  return make("div", { class: "settings" }, numbers, system);
}

class Chat {
  constructor(turns) {
    this.turns = turns;
    this.controllers = new Set();
  }

  form() {
    const text = make("textarea", { rows: "1", placeholder: "Ask something", "aria-label": "Your message" });
    const submit = () => {
      if (!text.value.trim() || this.controllers.size) return;
      kept.turns.push({ question: text.value, answers: {} });
      text.value = "";
      this.answer(kept.turns.length - 1);
    };
    text.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        submit();
      }
    });
    this.sendButton = make("button", { class: "main", onclick: submit }, "Send");
    this.stopButton = make("button", { hidden: true, onclick: () => this.stop() }, "Stop");
    return make("div", { class: "ask" },
      make("div", { class: "line" }, text, this.sendButton, this.stopButton));
  }

  models() {
    return kept.other && kept.other !== kept.model ? [kept.model, kept.other] : [kept.model];
  }

  draw() {
    if (!kept.turns.length) {
      fill(this.turns, make("p", { class: "empty" },
        "Ask something. Point at a word of the answer to see what else the model weighed."));
      return;
    }
    fill(this.turns, kept.turns.map((turn, number) => this.turn(turn, number)));
  }

  turn(turn, number) {
    const names = this.models();
    return make("article", { class: "turn" },
      this.question(turn, number),
      make("div", { class: names.length > 1 ? "answers two" : "answers" },
        names.map((name) => this.shown(turn, number, name))));
  }

  question(turn, number) {
    const box = make("div", { class: "question" },
      make("div", { class: "said" }, turn.question),
      make("div", { class: "tools" },
        make("button", { class: "quiet", onclick: () => this.edit(box, turn, number) }, "Edit")));
    return box;
  }

  edit(box, turn, number) {
    if (this.controllers.size) return;
    const text = make("textarea", { rows: "3", "aria-label": "Edit the message" });
    text.value = turn.question;
    const save = () => {
      kept.turns.length = number;
      kept.turns.push({ question: text.value, answers: {} });
      this.answer(number);
    };
    box.classList.add("editing");
    fill(box, text, make("div", { class: "row" },
      make("button", { class: "main", onclick: save }, "Ask again"),
      make("button", { onclick: () => this.draw() }, "Leave it")));
    text.focus();
  }

  shown(turn, number, name) {
    const answer = turn.answers[name];
    const said = make("div", { class: kept.heat ? "said heat" : "said" });
    const note = make("div", { class: "row small soft" });
    const box = make("div", { class: "answer" }, make("div", { class: "who" }, name), said, note);
    if (answer) {
      answer.said = said;
      answer.note = note;
      fill(said, answer.spans.map(tokenSpan));
      if (!answer.spans.length && answer.text) fill(said, answer.text);
      said.classList.toggle("open", answer.open);
      this.remark(answer, number, name);
    }
    return box;
  }

  remark(answer, number, name) {
    if (answer.open || !answer.note) return;
    const last = number === kept.turns.length - 1;
    const words = answer.error ? make("span", { class: "wrong" }, answer.error)
      : make("span", {}, `${many(answer.tokens, "token")}${answer.rate ? `, ${answer.rate} a second` : ""}${answer.reason === "length" ? ", cut at its length" : ""}${answer.reason === "stopped" ? ", stopped" : ""}`);
    fill(answer.note, words, last && make("button",
      { class: "quiet", onclick: () => this.again(number, name) }, "Regenerate"));
  }

  again(number, name) {
    if (this.controllers.size) return;
    delete kept.turns[number].answers[name];
    this.answer(number);
  }

  // Ask every model shown that has not answered this turn.
  async answer(number) {
    const turn = kept.turns[number];
    const waiting = this.models().filter((name) => !turn.answers[name]);
    for (const name of waiting) turn.answers[name] = { spans: [], text: "", tokens: 0, open: true };
    this.draw();
    this.busy(true);
    this.turns.lastElementChild.scrollIntoView({ block: "end" });
    await Promise.all(waiting.map((name) => this.listen(number, name)));
    this.busy(false);
  }

  async listen(number, name) {
    const answer = kept.turns[number].answers[name];
    const controller = new AbortController();
    this.controllers.add(controller);
    const begun = performance.now();
    try {
      for await (const event of stream("/v1/chat/completions", request(number, name), controller.signal)) {
        if (event.usage) answer.tokens = event.usage.completion_tokens;
        for (const choice of event.choices) take(answer, choice);
      }
      const spent = (performance.now() - begun) / 1000;
      answer.rate = spent > 0.2 ? Math.round(answer.tokens / spent) : 0;
    } catch (error) {
      if (error.name === "AbortError") answer.reason = "stopped";
      else answer.error = error.message;
    }
    answer.open = false;
    if (answer.said) answer.said.classList.remove("open");
    this.remark(answer, number, name);
    this.controllers.delete(controller);
  }

  busy(on) {
    this.sendButton.hidden = on;
    this.stopButton.hidden = !on;
  }

  stop() {
    for (const controller of this.controllers) controller.abort();
  }

  clear() {
    this.stop();
    kept.turns = [];
    this.draw();
  }
}

function request(number, name) {
  const messages = kept.system ? [{ role: "system", content: kept.system }] : [];
  for (const turn of kept.turns.slice(0, number + 1)) {
    messages.push({ role: "user", content: turn.question });
    const answer = turn.answers[name];
    if (answer && !answer.open) messages.push({ role: "assistant", content: answer.text });
  }
  const asked = { model: name, messages, logprobs: true, top_logprobs: 5, stream_options: { include_usage: true } };
  for (const [key, value] of Object.entries(kept.settings)) {
    if (value !== "") asked[key] = Number(value);
  }
  return asked;
}

// A part of a choice: its text, cut at the tokens where their bytes are told.
function take(answer, choice) {
  answer.text += choice.delta.content || "";
  answer.reason = choice.finish_reason || answer.reason;
  answer.decoder ??= new TextDecoder();
  for (const token of choice.logprobs?.content || []) {
    answer.tokens += 1;
    answer.begun ??= token;  // of a character of several tokens the first is told of
    put(answer, answer.decoder.decode(new Uint8Array(token.bytes), { stream: true }));
  }
  if (choice.finish_reason && answer.begun) put(answer, answer.decoder.decode());
}

function put(answer, text) {
  if (!text) return;
  const span = { text, token: answer.begun };
  answer.begun = undefined;
  answer.spans.push(span);
  if (answer.said) answer.said.append(tokenSpan(span));
}

function tokenSpan({ text, token }) {
  const share = Math.exp(token.logprob);
  return make("span", {
    class: "token", "--heat": 1 - share,
    onpointermove: (event) => floatAt(event, alternatives(token, share)),
    onpointerleave: unfloat,
  }, text);
}

function alternatives(token, share) {
  const top = token.top_logprobs.map((other) => [other.token, Math.exp(other.logprob)]);
  if (!top.some(([text]) => text === token.token)) top.push([token.token, share]);
  return likely(top.map(([text]) => text), top.map(([, value]) => value));
}
