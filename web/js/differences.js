// Paired differences of the test error: a dot a seed, and the interval once all seeds are in.

import { element, ticks } from "./chart.js";

const [WIDTH, HEIGHT] = [560, 76];
const points = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;

/**
 * @param {HTMLElement} place
 * @param {{seed: number, left: number, right: number}[]} pairs errors in percent
 * @param {{left: string, right: string, seeds: number}} race
 * @param {{mean: number, interval: [number, number] | null} | null} found
 */
export function differences(place, pairs, race, found) {
  place.replaceChildren();
  if (pairs.length === 0) return;
  const text = document.createElement("p");
  const last = pairs.at(-1);
  const end = pairs.length < race.seeds
    ? "the interval comes when all seeds are in"
    : found?.interval
      ? `mean ${points(found.mean)} points, 95 % interval ${points(found.interval[0])} to ${points(found.interval[1])}`
      : `${points(last.right - last.left)} points; one seed has no interval and decides nothing`;
  text.textContent = `Seed ${pairs.length} of ${race.seeds}: ${race.left} ${last.left.toFixed(2)} %, ${race.right} ${last.right.toFixed(2)} %. ${race.right} − ${race.left}: ${end}.`;
  place.append(text, strip(pairs, race, found));
}

function strip(pairs, race, found) {
  const values = pairs.map(({ left, right }) => right - left);
  const most = Math.max(1, ...values.map(Math.abs), ...(found?.interval ?? []).map(Math.abs)) * 1.15;
  const x = (value) => WIDTH / 2 + ((WIDTH / 2 - 20) * value) / most;
  const label = `${race.right} − ${race.left}, points of test error: ${values.map(points).join(", ")}`;
  const svg = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label });
  svg.append(element("line", { class: "mark", x1: x(0), x2: x(0), y1: 4, y2: 46 }));
  for (const value of ticks(-most, most, 6)) {
    svg.append(element("text", { x: x(value), y: 62, "text-anchor": "middle" }, value ? points(value).replace(/\.?0+$/, "") : "0"));
  }
  svg.append(element("text", { class: "soft", x: 0, y: HEIGHT - 2 }, `← ${race.right} better`));
  svg.append(element("text", { class: "soft", x: WIDTH, y: HEIGHT - 2, "text-anchor": "end" }, `${race.left} better →`));
  values.forEach((value, at) => svg.append(element("circle", { class: "pair", cx: x(value), cy: 12 + (at % 4) * 5, r: 3.5 })));
  if (found?.interval) {
    const [low, high] = found.interval.map(x);
    svg.append(element("line", { class: "interval", x1: low, x2: high, y1: 40, y2: 40 }));
    svg.append(element("circle", { class: "pair", cx: x(found.mean), cy: 40, r: 4.5 }));
  }
  return svg;
}
