// The tabs: each is a module with show(page), which may return what to do on leaving.

import { fill, make, unfloat } from "./dom.js";

const tabs = ["chat", "run", "data", "tokens", "microscope"];
const page = document.getElementById("page");
const links = [...document.querySelectorAll("#tabs a")];
let leave = null;
let turn = 0;

async function open() {
  const name = tabs.includes(location.hash.slice(1)) ? location.hash.slice(1) : "chat";
  const mine = ++turn;
  for (const link of links) {
    const here = link.hash === `#${name}`;
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  unfloat();
  if (leave) leave();
  leave = null;
  document.title = `Hornbook · ${name}`;
  fill(page);
  try {
    const { show } = await import(`./${name}.js`);
    const left = await show(page, () => mine === turn);
    if (mine === turn) leave = left;
    else if (left) left();
  } catch (error) {
    if (mine === turn) fill(page, make("p", { class: "empty wrong" }, error.message));
  }
}

addEventListener("hashchange", open);
open();
