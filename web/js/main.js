// The parts of the page, one at a time, by its address.

import { DrawPage } from "./draw.js";
import { read } from "./link.js";
import { LookPage } from "./look.js";
import { PaperPage } from "./paper.js";
import { RacePage } from "./race.js";

/** A module of one function that uses a vector instruction; a browser without simd128 does not accept it. */
const SIMD = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11]);

function unsupported() {
  if (typeof WebAssembly !== "object") return "This browser has no WebAssembly.";
  if (!WebAssembly.validate(SIMD)) return "This browser's WebAssembly has no vector instructions (simd128), which the networks here need.";
  return typeof DecompressionStream === "function" ? "" : "This browser cannot unpack gzip; a version of the last two years can.";
}

function say(id, text) {
  const element = document.getElementById(id);
  element.textContent = text;
  element.hidden = !text;
}

let current = "race";
const pages = { race: new RacePage(), paper: new PaperPage(), draw: new DrawPage(), look: new LookPage() };

/** Shows the page that the address names. */
function show() {
  const { page, race, embedded } = read(location.hash);
  const shown = page in pages ? page : current; // `#main` is a place of the page shown
  current = shown;
  document.body.classList.toggle("embedded", embedded);
  for (const section of document.querySelectorAll("[data-page]")) section.hidden = section.id !== shown;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${shown}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (race && pages.race.ablations) pages.race.choose(race);
  else if (shown !== "race") pages[shown].open();
  return race;
}

const race = show();
const problem = unsupported();
say("unsupported", problem);
if (!problem) {
  pages.race.load(race).catch((error) => say("unsupported", error.message));
  addEventListener("hashchange", show);
}
