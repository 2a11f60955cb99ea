"use strict";
// One section a study; every chart is drawn from the data that the page carries, at the width it has.

const studies = JSON.parse(document.getElementById("data").textContent);
// Colours that stay apart for most colour-blind readers (Okabe & Ito); dashes tell a second round apart.
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9"];
const DASHES = ["", "6 3", "2 3", "8 3 2 3"];
const SVG = "http://www.w3.org/2000/svg";

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== null && value !== false) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function draw(name, attributes = {}, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

const colour = (arm) => COLOURS[arm % COLOURS.length];
const dash = (arm) => DASHES[Math.floor(arm / COLOURS.length) % DASHES.length];
const fixed = (value, digits = 2) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const signed = (value, digits = 2) =>
  value === null || value === undefined ? "–" : (value >= 0 ? "+" : "−") + Math.abs(value).toFixed(digits);
const interval = (pair) => (pair ? `[${signed(pair[0])}, ${signed(pair[1])}]` : "–");
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

function deviation(values) {
  if (values.length < 2) return 0;
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
}

/** Places for about `count` ticks: 1, 2 or 5 times a power of ten apart. */
function ticks(low, high, count) {
  const raw = Math.max((high - low) / count, 1e-9);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw * (1 - 1e-9));
  const places = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-9; at += step) places.push(+at.toPrecision(9));
  return places;
}

function logTicks(low, high) {
  const places = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const factor of [1, 2, 5]) {
      const at = +(factor * 10 ** power).toPrecision(6);
      if (at >= low && at <= high) places.push(at);
    }
  }
  return places;
}

const short = (value) =>
  Math.abs(value) >= 1e6 ? `${+(value / 1e6).toPrecision(3)} M`
  : Math.abs(value) >= 1e4 ? `${+(value / 1e3).toPrecision(3)} k`
  : String(+value.toPrecision(4));

/** Keeps a figure drawn at the width that it has. */
function figure(label, paint) {
  const made = element("figure");
  let width = 0;
  // In a chart's units text has one size; where the page's text is larger, the whole chart is.
  const units = () => Math.max(280, Math.floor(made.clientWidth * 16 / parseFloat(getComputedStyle(document.documentElement).fontSize)));
  const repaint = () => {
    width = units();
    const svg = paint(width);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
    made.replaceChildren(svg);
  };
  new ResizeObserver(() => { if (units() !== width) repaint(); }).observe(made);
  addEventListener("beforeprint", repaint);
  made.repaint = repaint;
  return made;
}

/** A dialog with a run's config: what differs from the base first. */
function showRun(study, arm, run) {
  const { report } = study;
  const [found, plain] = [report.arms[arm].runs[run], study.arms[arm]];
  document.getElementById("run-name").textContent = `${report.ablation}: ${report.arms[arm].name}, seed ${found.seed}`;
  const folder = (study.runs + found.folder).split("/").map(encodeURIComponent).join("/");
  const rows = plain.differences.map(({ key, values }) =>
    element("tr", {}, element("th", { scope: "row" }, element("code", {}, key)),
      element("td", {}, element("code", {}, values[0] ?? "–")), element("td", {}, element("code", {}, values[1] ?? "–"))));
  const all = Object.entries(plain.config).map(([key, value]) =>
    element("tr", {}, element("th", { scope: "row" }, element("code", {}, key)), element("td", {}, element("code", {}, value))));
  document.getElementById("run-content").replaceChildren(
    element("p", {}, found.failure ? element("span", { class: "missing" }, `no result: ${found.failure}`)
      : `test top-1 error ${fixed(100 * found.test_top1_error)} %, top-5 error ${fixed(100 * found.test_top5_error)} %`),
    element("p", {}, element("a", { href: `${folder}/run.json` }, "run.json"), " · ",
      element("a", { href: `${folder}/metrics.jsonl` }, "metrics.jsonl"), " · ",
      found.failure ? element("a", { href: `${folder}/checkpoints/` }, "checkpoints")
        : element("a", { href: `${folder}/weights.bpk` }, "weights.bpk")),
    element("h3", {}, rows.length ? "Differs from the base in" : "The base"),
    rows.length ? element("table", {}, element("thead", {}, element("tr", {},
      ...["key", report.arms[0].name, report.arms[arm].name].map((name) => element("th", { scope: "col" }, name)))),
      element("tbody", {}, ...rows)) : "",
    element("h3", {}, "Config"),
    element("table", { class: "config" }, element("tbody", {}, ...all)));
  document.getElementById("run").showModal();
}

/** Whether the verdict has another interval than the 95 % one. */
const isAdjusted = (difference) => difference.interval_adjusted !== null && difference.level < 0.05;

/** What arms are compared with, in words: the notes say which of several. */
const measured = (report) =>
  report.unit === "%" ? `${report.quantity === "training-error" ? "training" : "test"} top-1 error, %` : report.unit;
function lessWhat(report) {
  return report.arms.some((arm) => arm.against) ? "its reference" : report.arms[0].name;
}

/** Paired differences, a row an arm: seeds as points, mean and 95 % interval. */
function forest(study, width) {
  const { report } = study;
  const arms = report.arms.map((arm, index) => ({ arm, index })).slice(1);
  const base = report.arms[0];
  const [left, right, top, row] = [Math.min(170, width * 0.3), 16, 8, 46];
  const height = top + row * arms.length + 44;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, class: "forest" });
  const numbers = [0, report.delta, -report.delta];
  const reference = (arm) => report.arms.find((other) => other.name === arm.against) ?? base;
  const seedsOf = (arm) => arm.runs.map((run, at) => {
    const [one, other] = [arm.values[at], reference(arm).values[at]];
    return one === null || other === null || one === undefined || other === undefined ? null : one - other;
  });
  for (const { arm } of arms) {
    numbers.push(...seedsOf(arm).filter((value) => value !== null));
    if (arm.difference) numbers.push(...(arm.difference.interval_adjusted ?? [arm.difference.mean]), ...(arm.difference.interval_95 ?? []));
    if (arm.paper !== null) numbers.push(arm.paper);
  }
  let [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  const margin = 0.05 * (high - low || 1);
  [low, high] = [low - margin, high + margin];
  const x = (value) => left + ((value - low) / (high - low)) * (width - left - right);
  const bottom = top + row * arms.length;
  svg.append(draw("rect", { class: "zone", x: x(-report.delta), y: top, width: x(report.delta) - x(-report.delta), height: bottom - top }));
  for (const tick of ticks(low, high, Math.max(3, Math.floor(width / 110)))) {
    svg.append(draw("line", { class: tick === 0 ? "zero" : "grid", x1: x(tick), x2: x(tick), y1: top, y2: bottom }));
    const text = tick === 0 ? "0" : (tick > 0 ? "+" : "−") + Math.abs(tick);
    svg.append(draw("text", { class: "soft", x: x(tick), y: bottom + 18, "text-anchor": "middle" }, text));
  }
  const unit = report.unit === "%" ? "percentage points" : report.unit;
  svg.append(draw("text", { class: "soft", x: (left + width - right) / 2, y: bottom + 38, "text-anchor": "middle" },
    `less ${lessWhat(report)}, ${unit}`));
  arms.forEach(({ arm, index }, place) => {
    const y = top + row * place + row / 2;
    const name = arm.name.length > left / 7.5 ? arm.name.slice(0, Math.floor(left / 7.5) - 1) + "…" : arm.name;
    svg.append(draw("text", { x: 0, y: y + 5 }, name));
    const { difference } = arm;
    if (!difference) {
      svg.append(draw("text", { class: "soft", x: left + 8, y: y + 5 }, arm.not_applicable ?? "no pair of runs"));
      return;
    }
    if (arm.paper !== null) {
      const mark = draw("line", { class: "paper", x1: x(arm.paper), x2: x(arm.paper), y1: y - 18, y2: y + 18, "stroke-width": 2 });
      mark.append(draw("title", {}, `the paper, on ${report.claim.data}: ${signed(arm.paper, 1)}`));
      svg.append(mark);
    }
    if (isAdjusted(difference)) {
      const [from, to] = difference.interval_adjusted;
      svg.append(draw("line", { class: "adjusted", x1: x(from), x2: x(to), y1: y, y2: y, stroke: colour(index), "stroke-width": 1 }));
    }
    if (difference.interval_95) {
      const [from, to] = difference.interval_95;
      svg.append(draw("line", { x1: x(from), x2: x(to), y1: y, y2: y, stroke: colour(index), "stroke-width": 3 }));
      for (const end of [from, to]) svg.append(draw("line", { x1: x(end), x2: x(end), y1: y - 6, y2: y + 6, stroke: colour(index), "stroke-width": 3 }));
    }
    const middle = draw("rect", { x: x(difference.mean) - 5, y: y - 5, width: 10, height: 10, fill: colour(index) });
    middle.append(draw("title", {}, `${arm.name}: ${signed(difference.mean)} ${interval(difference.interval_95)}`));
    svg.append(middle);
    seedsOf(arm).forEach((value, run) => {
      if (value === null) return;
      const point = draw("circle", { class: "point", cx: x(value), cy: y + 14, r: 5, fill: colour(index), "data-arm": index, "data-run": run });
      point.append(draw("title", {}, `${arm.name}, seed ${arm.runs[run].seed}: ${signed(value)}`));
      point.addEventListener("click", () => showRun(study, index, run));
      svg.append(point);
    });
  });
  return svg;
}

/** Learning curves of every seed, and the mean of each arm with its standard deviation. */
function curves(study, state, width) {
  const { report } = study;
  const height = Math.round(Math.min(Math.max(width * 0.5, 240), 640));
  const [left, right, top, bottom] = [52, 12, 10, 44];
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, class: "curves" });
  const across = state.x === "time" ? 1 : 0;
  const visible = report.arms.map((_, index) => index).filter((index) => !state.hidden.has(index));
  const of = (arm) => study.arms[arm].curves.map((run) => {
    const x = (point) => state.x === "images" ? point[0] * report.arms[arm].training_images : point[across];
    return run[state.split].map((point) => ({ epoch: point[0], x: x(point), y: point[2] }));
  });
  const drawn = visible.map((arm) => ({ arm, runs: of(arm) }));
  for (const group of drawn) {
    const epochs = new Map();
    for (const point of group.runs.flat()) {
      if (!epochs.has(point.epoch)) epochs.set(point.epoch, []);
      epochs.get(point.epoch).push(point);
    }
    group.middle = [...epochs.entries()].sort((a, b) => a[0] - b[0]).map(([, list]) => ({
      x: mean(list.map((point) => point.x)),
      y: mean(list.map((point) => point.y)),
      spread: deviation(list.map((point) => point.y)),
    }));
    group.upper = group.middle.map((point) => ({ x: point.x, y: point.y + point.spread }));
    group.lower = group.middle.map((point) => ({ x: point.x, y: point.y - point.spread }));
  }
  const points = drawn.flatMap(({ runs, upper, lower }) => [...runs.flat(), ...upper, ...lower])
    .filter((point) => state.y !== "log" || point.y > 0);
  if (!points.length) {
    svg.append(draw("text", { x: left, y: height / 2 }, "nothing to draw"));
    return svg;
  }
  const least = (list, of) => list.reduce((found, point) => Math.min(found, of(point)), Infinity);
  const most = (list, of) => list.reduce((found, point) => Math.max(found, of(point)), -Infinity);
  const [x0, x1] = [state.x === "epochs" ? 1 : 0, Math.max(most(points, (point) => point.x), state.x === "epochs" ? 2 : 1)];
  let [y0, y1] = [least(points, (point) => point.y), most(points, (point) => point.y)];
  const log = state.y === "log";
  if (log) [y0, y1] = [y0 * 0.95, y1 * 1.05];
  else {
    const margin = 0.04 * (y1 - y0 || 1);
    [y0, y1] = [Math.max(0, y0 - margin), y1 + margin];
  }
  const x = (value) => left + ((value - x0) / (x1 - x0)) * (width - left - right);
  const scaled = log ? Math.log : (value) => value;
  const y = (value) => top + ((scaled(y1) - scaled(Math.max(value, log ? y0 : -Infinity))) / (scaled(y1) - scaled(y0))) * (height - top - bottom);
  for (const tick of log ? logTicks(y0, y1) : ticks(y0, y1, height / 60)) {
    svg.append(draw("line", { class: "grid", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }));
    svg.append(draw("text", { class: "soft", x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, short(tick)));
  }
  for (const tick of ticks(x0, x1, Math.max(3, width / 110))) {
    if (state.x === "epochs" && tick % 1) continue;
    svg.append(draw("text", { class: "soft", x: x(tick), y: height - bottom + 18, "text-anchor": "middle" }, short(tick)));
  }
  const label = { epochs: "epoch", time: "seconds of training", images: "images" }[state.x];
  svg.append(draw("text", { class: "soft", x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, label));
  const path = (list) => list.map((point, at) => `${at ? "L" : "M"}${x(point.x).toFixed(1)} ${y(point.y).toFixed(1)}`).join("");
  for (const { arm, runs, middle, upper, lower } of drawn) {
    if (!middle.length) continue;
    svg.append(draw("path", { d: path(upper) + path([...lower].reverse()).replace("M", "L") + "Z", fill: colour(arm), opacity: 0.15 }));
    if (state.seeds) {
      runs.forEach((run, index) => {
        if (!run.length) return;
        svg.append(draw("path", { d: path(run), fill: "none", stroke: colour(arm), "stroke-width": 1, opacity: 0.45 }));
        const end = run[run.length - 1];
        const point = draw("circle", { class: "point", cx: x(end.x), cy: y(end.y), r: 4, fill: colour(arm), "data-arm": arm, "data-run": index });
        point.append(draw("title", {}, `${report.arms[arm].name}, seed ${report.arms[arm].runs[index].seed}: ${fixed(end.y)} %`));
        point.addEventListener("click", () => showRun(study, arm, index));
        svg.append(point);
      });
    }
    svg.append(draw("path", { d: path(middle), fill: "none", stroke: colour(arm), "stroke-width": 2.5, "stroke-dasharray": dash(arm), "pointer-events": "none" }));
  }
  return svg;
}

function select(label, options, value, change) {
  const made = element("select", { onchange: () => change(made.value) });
  for (const [key, text] of options) made.append(element("option", { value: key, ...(key === value ? { selected: "" } : {}) }, text));
  return element("label", {}, label, made);
}

function curvesBlock(study) {
  const { report } = study;
  const evaluated = study.arms.some((arm) => arm.curves.some((run) => run.train_evaluated.length));
  const state = { split: report.quantity !== "test-error" ? "train_evaluated" : "validation", x: "epochs", y: "linear", seeds: true, hidden: new Set() };
  const chart = figure("Learning curves; the tables below have the numbers", (width) => curves(study, state, width));
  const set = (key) => (value) => { state[key] = value; chart.repaint(); };
  const seeds = element("input", { type: "checkbox", checked: "", onchange: () => set("seeds")(seeds.checked) });
  const legend = element("div", { class: "controls legend", role: "group", "aria-label": "Arms shown" });
  report.arms.forEach((arm, index) => {
    const swatch = draw("svg", { class: "swatch", viewBox: "0 0 26 12", "aria-hidden": "true" });
    swatch.append(draw("line", { x1: 0, x2: 26, y1: 6, y2: 6, stroke: colour(index), "stroke-width": 4, "stroke-dasharray": dash(index) }));
    const button = element("button", { class: "arm", type: "button", "aria-pressed": "true", onclick: () => {
      const shown = state.hidden.delete(index);
      if (!shown) state.hidden.add(index);
      button.setAttribute("aria-pressed", String(shown));
      chart.repaint();
    } }, swatch, arm.name);
    legend.append(button);
  });
  const splits = [["validation", "validation"], ["train", "training, as seen"]];
  if (evaluated) splits.push(["train_evaluated", "training, evaluated"]);
  return [
    element("h3", {}, "Learning curves"),
    element("div", { class: "controls" },
      select("Top-1 error on", splits, state.split, set("split")),
      select("by", [["epochs", "epochs"], ["time", "time"], ["images", "images"]], state.x, set("x")),
      select("scale", [["linear", "linear"], ["log", "logarithmic"]], state.y, set("y")),
      element("label", {}, seeds, "every seed")),
    legend, chart,
    element("p", { class: "note" }, "In percent. Thick lines are means, bands one standard deviation, over the seeds still in training. A click on an end shows that run."),
  ];
}

function armsTable(study) {
  const { report } = study;
  const adjusted = report.arms.some((arm) => arm.difference && isAdjusted(arm.difference));
  const head = ["arm", measured(report), `less ${lessWhat(report)} [95 %]`, ...(adjusted ? ["adjusted"] : []), "p, Holm", "paper*", "verdict", "parameters"];
  const rows = report.arms.map((arm, index) => {
    const bound = arm.never_reached ? "> " : "";
    const value = arm.mean === null ? (arm.not_applicable ? "not applicable" : "no finished run")
      : bound + fixed(arm.mean) + (arm.sd === null ? "" : ` ± ${fixed(arm.sd)}`);
    const found = arm.difference;
    const paper = arm.paper !== null ? signed(arm.paper, 1) : arm.paper_ratio !== null ? `${arm.paper_ratio}×` : "";
    return element("tr", { "data-arm": index },
      element("th", { scope: "row", title: arm.about }, arm.name),
      element("td", { class: "number" }, value),
      element("td", { class: "number" }, found ? `${bound}${signed(found.mean)} ${found.interval_95 ? interval(found.interval_95) : ""}` : ""),
      adjusted ? element("td", { class: "number" }, found && isAdjusted(found) ? interval(found.interval_adjusted) : "") : null,
      element("td", { class: "number" }, found?.p_holm === null || !found ? "" : found.p_holm < 0.001 ? "< 0.001" : fixed(found.p_holm, 3)),
      element("td", { class: "number" }, paper),
      element("td", {}, study.arms[index].verdict),
      element("td", { class: "number" }, arm.parameters.toLocaleString("en")));
  });
  return element("div", { class: "scroll whole", tabindex: "0", role: "region", "aria-label": "Arms" },
    element("table", { class: "arms" },
      element("thead", {}, element("tr", {}, ...head.map((name) => element("th", { scope: "col" }, name)))),
      element("tbody", {}, ...rows)));
}

/** All runs, sorted by a click on a column's head and filtered by words. */
function runsBlock(study) {
  const { report } = study;
  const rows = report.arms.flatMap((arm, index) => arm.runs.map((run, place) => ({
    arm: index, place, run, name: arm.name,
    differs: study.arms[index].differences.map(({ key, values }) => `${key} = ${values[1] ?? "(none)"}`).join("; "),
    state: run.failure ?? "finished",
  })));
  const columns = [
    ["arm", (row) => row.name], ["seed", (row) => row.run.seed, 0], ["differs in", (row) => row.differs],
    ["state", (row) => row.state],
    ["top-1 error, %", (row) => row.run.test_top1_error === null ? null : 100 * row.run.test_top1_error, 2],
    ["top-5 error, %", (row) => row.run.test_top5_error === null ? null : 100 * row.run.test_top5_error, 2],
    ["epochs", (row) => row.run.epochs, 0], ["backend", (row) => row.run.backend],
    ["time, s", (row) => row.run.train_seconds, 1], ["images/s", (row) => row.run.images_per_second, 0],
    ["memory, MB", (row) => row.run.peak_memory_bytes === null ? null : row.run.peak_memory_bytes / 1e6, 0],
  ];
  const state = { column: null, down: false, words: [], seed: null };
  const body = element("tbody");
  const count = element("span", { class: "note", role: "status" });
  for (const row of rows) {
    const missing = row.run.failure !== null;
    row.element = element("tr", { class: missing ? "missing-run" : undefined }, ...columns.map(([name, value, digits]) => {
      const plain = value(row);
      if (name === "differs in") return element("td", { class: "differs" }, element("code", {}, plain));
      if (digits === undefined) return element("td", { class: name === "state" && missing ? "missing" : undefined }, plain ?? "–");
      return element("td", { class: "number" }, fixed(plain, digits));
    }), element("td", {}, element("button", { type: "button", "aria-label": `Config of ${row.name}, seed ${row.run.seed}`,
      onclick: () => showRun(study, row.arm, row.place) }, "config")));
    row.text = (row.name + " " + row.differs + " " + row.state + " " + (row.run.backend ?? "")).toLowerCase();
  }
  const arrange = () => {
    const shown = rows.filter((row) => (state.seed === null || row.run.seed === state.seed)
      && state.words.every((word) => row.text.includes(word)));
    if (state.column !== null) {
      const value = columns[state.column][1];
      shown.sort((a, b) => {
        const [one, other] = [value(a), value(b)];
        if (one === null || other === null) return (one === null) - (other === null);
        const order = typeof one === "number" ? one - other : String(one).localeCompare(String(other));
        return state.down ? -order : order;
      });
    }
    body.replaceChildren(...shown.map((row) => row.element));
    count.textContent = `${shown.length} of ${rows.length} runs`;
  };
  const heads = columns.map(([name, , digits], column) => {
    const head = element("th", { scope: "col", class: digits === undefined ? undefined : "number" }, element("button", { type: "button", onclick: () => {
      state.down = state.column === column && !state.down;
      state.column = column;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      arrange();
    } }, name));
    return head;
  });
  const filter = element("input", { type: "search", placeholder: "arm, seed 3, failed …", oninput: () => {
    // `seed 1` means that seed and not every 1.
    const text = filter.value.toLowerCase();
    const seed = text.match(/\bseed\s+(\d+)/);
    state.seed = seed ? Number(seed[1]) : null;
    state.words = text.replace(/\bseed\s+\d+/, "").split(/\s+/).filter(Boolean);
    arrange();
  } });
  arrange();
  return [
    element("h3", {}, "Runs"),
    element("div", { class: "controls" }, element("label", {}, "Filter", filter), count,
      element("a", { href: "runs.csv" }, "runs.csv"), element("a", { href: "report.json" }, "report.json")),
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Runs" },
      element("table", { class: "runs" },
        element("thead", {}, element("tr", {}, ...heads, element("th", { scope: "col" }, "config"))), body)),
  ];
}

function section(study, index) {
  const { report } = study;
  const runs = report.arms.flatMap((arm) => arm.runs);
  const missing = runs.filter((run) => run.failure !== null).length;
  return element("section", { id: `study-${index}`, "aria-labelledby": `title-${index}` },
    element("h1", { id: `title-${index}` }, report.question),
    element("p", { class: "subject" }, study.subject, `, ${runs.length} runs`),
    missing ? element("p", { class: "missing", role: "note" }, `${missing} of ${runs.length} runs have no result; the table of runs says why.`) : null,
    element("blockquote", {}, `${report.claim.text}`,
      element("footer", {}, `Krizhevsky et al. 2012, ${report.claim.section}; on ${report.claim.data}`)),
    element("h3", {}, "Verdict"),
    armsTable(study),
    element("p", { class: "note" }, "* Another network on another data set: to look at, not tested against."),
    element("h3", {}, "Paired differences"),
    figure("Paired differences; the table above has the numbers", (width) => forest(study, width)),
    element("p", { class: "note" },
      `Squares are means over seeds, thick lines their 95 % t intervals, thin ones the adjusted intervals of the verdicts, points single seeds (one that never got there has none); shaded: ±${report.delta}, taken for no difference; dashed: the paper. A click on a point shows that run.`),
    element("ul", { class: "note" }, ...study.tests.concat(study.notes).map((line) => element("li", {}, line))),
    ...curvesBlock(study),
    ...runsBlock(study));
}

/** Studies of the same ablation, scale and images that were computed elsewhere, side by side. */
function backends() {
  const groups = new Map();
  for (const study of studies) {
    // A run's folder names config, data and seed, and no backend.
    const runs = study.report.arms.flatMap((arm) => arm.runs.map((run) => run.folder));
    const key = [study.report.ablation, study.report.scale, ...runs].join("\n");
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(study);
  }
  const made = [];
  for (const group of groups.values()) {
    if (group.length < 2) continue;
    const first = group[0].report;
    const names = group.map((study) => study.report.backend);
    const rows = first.arms.map((arm) => {
      const cells = group.map((study) => study.report.arms.find((other) => other.name === arm.name));
      const shown = cells.map((other) => element("td", { class: "number" },
        !other || other.mean === null ? "–" : `${fixed(other.mean)}${other.sd === null ? "" : ` ± ${fixed(other.sd)}`}`));
      const gaps = cells.slice(1).map((other) => {
        const pairs = arm.values.map((value, seed) => [value, other?.values[seed]]).filter(([a, b]) => a !== null && a !== undefined && b !== null && b !== undefined);
        return element("td", { class: "number" }, pairs.length ? signed(mean(pairs.map(([a, b]) => b - a))) : "–");
      });
      return element("tr", {}, element("th", { scope: "row" }, arm.name), ...shown, ...gaps);
    });
    const heads = ["arm", ...names, ...names.slice(1).map((name) => `${name} less ${names[0]}`)];
    made.push(element("section", { class: "backends" },
      element("h1", {}, `${first.ablation} across backends`),
      element("p", { class: "subject" }, `the same arms and seeds on ${names.join(", ")}; ${measured(first)}`),
      element("div", { class: "scroll whole", tabindex: "0", role: "region", "aria-label": "Backends" }, element("table", {},
        element("thead", {}, element("tr", {}, ...heads.map((name) => element("th", { scope: "col" }, name)))),
        element("tbody", {}, ...rows)))));
  }
  return made;
}

const main = document.getElementById("main");
main.append(...studies.map(section), ...backends());
if (studies.length > 1) {
  document.getElementById("contents").append(element("ul", {}, ...studies.map((study, index) =>
    element("li", {}, element("a", { href: `#study-${index}` }, `${study.report.ablation}, ${study.report.scale}, ${study.report.backend}`)))));
}
document.documentElement.dataset.ready = String(Math.round(performance.now()));
