// The audit's table, with a button for each statement that has a race.

import { element } from "./chart.js";
import { json } from "./files.js";
import { OPENING, write } from "./link.js";

const [WIDTH, HEIGHT, MOST] = [208, 34, 3];

export class PaperPage {
  async open() {
    if (this.opened) return;
    this.opened = true;
    const audit = await json("audit.json");
    document.querySelector("#statements tbody").replaceChildren(...audit.statements.map(row));
    document.getElementById("settings").textContent = audit.note;
  }
}

function row(statement) {
  const made = document.createElement("tr");
  made.id = `statement-${statement.id}`;
  for (const text of [statement.section, statement.text, statement.paper, statement.found]) made.insertCell().textContent = text;
  const forest = made.insertCell();
  forest.className = "forest";
  if (statement.interval) forest.append(interval(statement));
  const cell = made.insertCell();
  if (!statement.race) {
    cell.className = "note";
    cell.textContent = "no race";
    return made;
  }
  const button = cell.appendChild(document.createElement("button"));
  button.textContent = "Race";
  button.setAttribute("aria-label", `Race: ${statement.text}`);
  const { ablation, left, right } = statement.race;
  const race = ablation === OPENING.ablation ? OPENING : { ablation, left, right, seed: 0, seeds: 1, epochs: null, both: [], own: { left: [], right: [] } };
  button.onclick = () => { location.hash = write(race); };
  return made;
}

/** The interval in units of the margin δ; between −1 and 1 a difference counts as none. */
function interval({ interval: [low, high], difference, delta, unit }) {
  const x = (value) => WIDTH / 2 + ((WIDTH / 2 - 6) * Math.max(-MOST, Math.min(MOST, value / delta))) / MOST;
  const shown = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
  const label = `${shown(difference)} ${unit}, 95 % interval ${shown(low)} to ${shown(high)}, margin ${delta}`;
  const svg = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label });
  svg.append(element("title", {}, label));
  svg.append(element("rect", { class: "zone", x: x(-delta), y: 0, width: x(delta) - x(-delta), height: HEIGHT }));
  svg.append(element("line", { class: "mark", x1: x(0), x2: x(0), y1: 0, y2: HEIGHT }));
  svg.append(element("line", { class: "interval", x1: x(low), x2: x(high), y1: HEIGHT / 2, y2: HEIGHT / 2 }));
  svg.append(element("circle", { class: "pair", cx: x(difference), cy: HEIGHT / 2, r: 4.5 }));
  return svg;
}
