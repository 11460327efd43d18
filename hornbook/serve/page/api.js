// Asking the server. A key, where one is needed, is asked for once and kept for this tab.

const STORE = "hornbook-key";

export class Refused extends Error {}

function headers(extra = {}) {
  const key = sessionStorage.getItem(STORE);
  return key ? { ...extra, authorization: `Bearer ${key}` } : extra;
}

async function ask(path, options = {}) {
  const answer = await fetch(path, { ...options, headers: headers(options.headers) });
  if (answer.status === 401) {
    const key = prompt("This server asks for an API key:");
    if (key) {
      sessionStorage.setItem(STORE, key);
      return ask(path, options);
    }
  }
  if (!answer.ok) throw new Refused(await reason(answer));
  return answer;
}

async function reason(answer) {
  try {
    return (await answer.json()).error.message;
  } catch {
    return `The server answered ${answer.status}.`;
  }
}

export async function get(path, query = {}) {
  const search = new URLSearchParams(query).toString();
  return (await ask(search ? `${path}?${search}` : path)).json();
}

function post(path, body, signal) {
  const headers = { "content-type": "application/json" };
  return ask(path, { method: "POST", headers, body: JSON.stringify(body), signal });
}

export async function send(path, body) {
  return (await post(path, body)).json();
}

// The events of a streamed answer, one object each.
export async function* stream(path, body, signal) {
  const answer = await post(path, { ...body, stream: true }, signal);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      if (!part.startsWith("data: ") || part === "data: [DONE]") continue;
      const event = JSON.parse(part.slice(6));
      if (event.error) throw new Refused(event.error.message);
      yield event;
    }
  }
}

export async function models() {
  return (await get("/v1/models")).data.map((model) => model.id);
}
