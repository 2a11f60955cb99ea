// The page of a race: what is chosen, what runs, what is shown.

import { Arm } from "./arm.js";
import { Chart } from "./chart.js";
import { command } from "./command.js";
import { differences } from "./differences.js";
import { Duel, SIDES } from "./duel.js";
import { bytes, json } from "./files.js";
import { choices, examples } from "./images.js";
import { OPENING, write } from "./link.js";
import { Panel } from "./panel.js";

const OWN = { name: "", question: "Your own switches, left and right", arms: [{ name: "left", about: "" }, { name: "right", about: "" }] };
const FILES = ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"];
const SPLITS = { "train-evaluated": "of training images", train: "of training batches", validation: "of 1,000 validation images" };
/** The share of the past in the smoothed curves of single batches. */
const KEPT = 0.95;

const $ = (id) => document.getElementById(id);
const lines = (id) => $(id).value.split("\n").map((line) => line.trim()).filter(Boolean);

export class RacePage {
  constructor() {
    this.panels = Object.fromEntries(SIDES.map((side) => [side, new Panel(side)]));
    const x = "updates";
    this.errors = new Chart($("errors"), { label: "Error in percent by number of updates", x, top: 60, mark: { at: 25, label: "25 %" } });
    this.losses = new Chart($("losses"), { label: "Loss by number of updates", x, top: 2.4 });
    this.state = "loading";
    this.shown = null;
  }

  /** Loads the files and lists the ideas. */
  async load(race) {
    const catalogue = await json("catalogue.json");
    const [images, listed] = await Promise.all([Promise.all(FILES.map(bytes)), this.list(catalogue)]);
    this.files = { catalogue, images };
    const worth = (arm) => !arm.problem;
    this.ablations = new Map([...listed, OWN].map((it) => [it.name, { ...it, arms: it.arms.filter(worth) }]));
    for (const [name, { arms }] of this.ablations) if (arms.length < 2) this.ablations.delete(name);
    $("ablation").replaceChildren(...[...this.ablations.values()].map(({ name, question }) => new Option(name ? `${name}: ${question}` : question, name)));
    this.listen();
    this.choose(race ?? OPENING);
    const found = await examples(catalogue.classes);
    choices($("images"), found, ({ number }) => {
      this.image = number;
      this.duel?.look(number);
    });
  }

  async list({ scale, ablations }) {
    const worker = new Arm("race");
    await worker.load("race.wasm");
    const listed = await worker.ask({ type: "list", files: { scale, ablations: Object.values(ablations), channels: 1 } });
    worker.stop();
    return listed.ablations;
  }

  listen() {
    $("go").onclick = () => this.go();
    $("step").onclick = () => this.step();
    $("reset").onclick = () => this.reset();
    $("speed").onchange = () => this.duel?.pace(+$("speed").value);
    $("choice").onsubmit = (event) => event.preventDefault();
    $("ablation").onchange = () => this.arms();
    for (const id of ["left", "right", "seeds", "seed", "epochs", "set-both", "set-left", "set-right"]) $(id).addEventListener("change", () => this.reset());
    $("copy").onclick = () => this.copy($("command").textContent, "The command is copied.");
    $("link").onclick = () => this.copy(new URL(write(this.race), location.href).href, "The link is copied.");
  }

  async copy(text, said) {
    try {
      await navigator.clipboard.writeText(text);
      $("copied").textContent = said;
    } catch {
      $("copied").textContent = text;
    }
  }

  /** Fills in the lists of arms, for an idea that the reader chose. */
  arms(left, right) {
    const { name, question, claim, section, arms } = this.ablations.get($("ablation").value);
    for (const [side, chosen, otherwise] of [["left", left, 0], ["right", right, 1]]) {
      $(side).replaceChildren(...arms.map((arm) => new Option(arm.name, arm.name)));
      $(side).value = arms.some((arm) => arm.name === chosen) ? chosen : arms[otherwise].name;
      $(side).disabled = !name;
    }
    for (const side of SIDES) $(`set-${side}`).disabled = Boolean(name);
    $("question").textContent = question;
    $("claim").textContent = claim ? `${section}: ${claim}` : "Same images, same order, same random draws on both sides: the difference is the idea.";
    this.reset();
  }

  /** Shows a race that an address or a row of the paper names. */
  choose(race) {
    const known = this.ablations.has(race.ablation);
    $("ablation").value = known ? race.ablation : "";
    for (const key of ["seed", "seeds"]) $(key).value = race[key];
    $("epochs").value = race.epochs ?? "";
    $("set-both").value = race.both.join("\n");
    for (const side of SIDES) $(`set-${side}`).value = race.own[side].join("\n");
    $("more").open = !known || (race !== OPENING && race.both.length > 0);
    this.arms(race.left, race.right);
  }

  /** The race that the form describes. */
  chosen() {
    const number = (id, otherwise) => Math.max(+$(id).min, Math.min(+$(id).max, Math.round(+$(id).value) || otherwise));
    const own = !$("ablation").value;
    return {
      ablation: $("ablation").value, left: $("left").value, right: $("right").value,
      seed: number("seed", 0), seeds: number("seeds", 1), epochs: $("epochs").value ? number("epochs", 1) : null,
      both: lines("set-both"), own: { left: own ? lines("set-left") : [], right: own ? lines("set-right") : [] },
    };
  }

  reset() {
    this.duel?.stop();
    this.duel = null;
    this.race = this.chosen();
    const { arms } = this.ablations.get(this.race.ablation);
    for (const side of SIDES) this.panels[side].reset(arms.find((arm) => arm.name === this.race[side]));
    this.errors.clear(1);
    this.losses.clear(1);
    this.pairs = [];
    differences($("differences"), [], this.race, null);
    $("failure").hidden = true;
    $("command").textContent = command(this.race);
    $("bits").textContent = "WebAssembly has no fused multiply-add. With ALEXNET_BURN_SIMD=narrow-nofma the command gives the same losses to the "
      + `digit${this.race.ablation ? ", and trains the other arms of the idea as well" : ""}; its test has all 10,000 images.`;
    this.become("ready");
  }

  /** @param {"ready" | "running" | "paused" | "finished" | "failed"} state */
  become(state) {
    this.state = state;
    const alike = this.race.ablation && this.race.left === this.race.right;
    $("go").textContent = { running: "Pause", paused: "Go on" }[state] ?? "Start";
    $("go").disabled = alike || state === "finished" || state === "failed";
    $("step").disabled = $("go").disabled || state === "running";
    $("reset").disabled = state === "ready";
    const seed = this.race.seed + this.pairs.length;
    $("state").textContent = alike ? "Both sides are the same arm." : {
      ready: "Ready.", running: `Seed ${seed} trains.`, paused: `Seed ${seed} is paused.`, finished: "All seeds are trained.", failed: "It stopped.",
    }[state];
  }

  async go() {
    if (this.state === "running") {
      this.become("paused");
      return this.duel.pause();
    }
    if (this.duel) {
      this.become("running");
      return this.duel.run();
    }
    return this.begin(true);
  }

  async step() {
    if (!this.duel) await this.begin(false);
    else this.duel.step();
    this.become("paused");
  }

  async begin(run) {
    const duel = new Duel(this.race, this.files, (side, message) => this.duel === duel && this.hear(side, message),
      (seed, tests) => this.duel === duel && this.pair(seed, tests));
    this.duel = duel;
    duel.rest = +$("speed").value;
    duel.looked = this.image ?? null;
    this.become(run ? "running" : "paused");
    try {
      await duel.begin(run);
      if (!run) duel.step();
    } catch (error) {
      if (this.duel === duel) this.fail(error.message);
    }
  }

  fail(error, side) {
    this.duel?.stop();
    this.duel = null;
    $("failure").textContent = side ? `${this.race[side]}: ${error}` : error;
    $("failure").hidden = false;
    this.become("failed");
  }

  /** @param {import("./protocol.js").ToPage} message */
  hear(side, message) {
    const panel = this.panels[side];
    if (message.type === "started") this.started(side, message);
    if (message.type === "advanced") this.advanced(side, message);
    if (message.type === "kernels") panel.draw(message);
    if (message.type === "shown") panel.show(message, this.files.catalogue.classes);
    if (message.type === "finished") panel.score(message.test.error, `of ${message.test.images.toLocaleString("en")} test images, after training`);
    if (message.type === "failed") this.fail(message.error, side);
  }

  started(side, message) {
    if (side === "left") {
      this.errors.clear(message.steps);
      this.losses.clear(message.steps);
      this.smooth = {};
    }
    this.errors.end = this.losses.end = Math.max(this.errors.end, message.steps);
    this.smooth[side] = { loss: 0, error: 0, weight: 0, crossed: false, compared: message.compared };
    this.panels[side].begin(message);
  }

  advanced(side, { steps, passes, milliseconds }) {
    const panel = this.panels[side], smooth = this.smooth[side];
    for (const [step, loss, error] of steps) {
      smooth.loss = KEPT * smooth.loss + loss;
      smooth.error = KEPT * smooth.error + error;
      smooth.weight = KEPT * smooth.weight + 1;
      smooth.step = step;
    }
    if (steps.length > 0) {
      this.losses.add(`${side} train`, side, smooth.step, smooth.loss / smooth.weight);
      if (smooth.compared === "validation") this.errors.add(`${side} train`, side, smooth.step, (100 * smooth.error) / smooth.weight);
      if (passes.length === 0) smooth.rate = (1000 * steps.length * panel.batch) / milliseconds;
    }
    for (const { split, step, loss, error } of passes) {
      if (split === "validation") {
        this.errors.add(`${side} validation`, `${side} dotted`, step, 100 * error);
        this.losses.add(`${side} validation`, `${side} dotted`, step, loss);
      }
      if (split === "train-evaluated") this.errors.add(`${side} train`, side, step, 100 * error);
      if (split === smooth.compared) {
        panel.score(error, `error ${SPLITS[split]}`);
        if (error <= 0.25 && !smooth.crossed) {
          smooth.crossed = true;
          panel.crossed(step);
        }
      }
    }
    panel.numbers(smooth.step ?? 0, smooth.rate);
    this.errors.draw();
    this.losses.draw();
  }

  async pair(seed, tests) {
    this.pairs.push({ seed, left: 100 * tests.left, right: 100 * tests.right });
    const all = this.pairs.length === this.race.seeds;
    const found = all ? await this.duel.compare(this.pairs.map(({ left, right }) => right - left), 0.3) : null;
    differences($("differences"), this.pairs, this.race, found);
    this.become(all ? "finished" : this.state);
  }
}
