// A line chart in SVG: curves that grow, points, and a line that marks a value.

const NAMESPACE = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [560, 260];
const EDGE = { left: 46, right: 12, top: 10, bottom: 34 };

export function element(name, attributes = {}, text) {
  const made = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** About `count` round numbers from `low` to `high`. */
export function ticks(low, high, count) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= raw);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + 1e-9 * step; at++) found.push(+(at * step).toPrecision(10));
  return found;
}

export class Chart {
  /** @param {Element} place @param {{label: string, x: string, top: number, mark?: {at: number, label: string}}} options */
  constructor(place, options) {
    this.options = options;
    this.svg = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": options.label });
    place.replaceChildren(this.svg);
    this.clear(1);
  }

  /** Removes all curves. The horizontal axis ends at `end`. */
  clear(end) {
    this.end = end;
    this.top = this.options.top;
    this.curves = new Map();
    this.draw();
  }

  /** Adds a point to the curve of this name, whose class is its look. */
  add(name, className, x, y) {
    if (!this.curves.has(name)) this.curves.set(name, { className, points: [] });
    this.curves.get(name).points.push([x, Math.min(y, this.top)]);
  }

  x(value) {
    return EDGE.left + ((WIDTH - EDGE.left - EDGE.right) * value) / this.end;
  }

  y(value) {
    return HEIGHT - EDGE.bottom - ((HEIGHT - EDGE.bottom - EDGE.top) * value) / this.top;
  }

  draw() {
    const { svg, options } = this;
    svg.replaceChildren();
    for (const value of ticks(0, this.top, 4)) {
      const y = this.y(value);
      svg.append(element("line", { class: "grid", x1: EDGE.left, x2: WIDTH - EDGE.right, y1: y, y2: y }));
      svg.append(element("text", { x: EDGE.left - 6, y: y + 4, "text-anchor": "end" }, value));
    }
    for (const value of ticks(0, this.end, 5)) {
      svg.append(element("text", { x: this.x(value), y: HEIGHT - EDGE.bottom + 16, "text-anchor": "middle" }, value));
    }
    svg.append(element("text", { class: "soft", x: WIDTH - EDGE.right, y: HEIGHT - 4, "text-anchor": "end" }, options.x));
    if (options.mark) {
      const y = this.y(options.mark.at);
      svg.append(element("line", { class: "mark", x1: EDGE.left, x2: WIDTH - EDGE.right, y1: y, y2: y }));
      svg.append(element("text", { class: "soft", x: WIDTH - EDGE.right, y: y - 5, "text-anchor": "end" }, options.mark.label));
    }
    for (const { className, points } of this.curves.values()) {
      const at = points.map(([x, y]) => `${this.x(x).toFixed(1)},${this.y(y).toFixed(1)}`);
      svg.append(element("polyline", { class: className, points: at.join(" ") }));
      if (className.includes("dotted")) {
        for (const [x, y] of points) svg.append(element("circle", { class: className, cx: this.x(x), cy: this.y(y), r: 3.5 }));
      }
    }
  }
}
