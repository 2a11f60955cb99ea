// Two arms, trained seed after seed on two workers.

import { Arm } from "./arm.js";

export const SIDES = ["left", "right"];

export class Duel {
  /**
   * @param {object} race as `link.js` describes it
   * @param {object} files the catalogue and the four files of the images
   * @param {(side: string, message: import("./protocol.js").ToPage) => void} heard
   * @param {(seed: number, errors: {left: number, right: number}) => void} paired hears of each seed that both have finished
   */
  constructor(race, files, heard, paired) {
    Object.assign(this, { race, files, heard, paired, at: 0, tests: {}, running: false, rest: 0, looked: null });
  }

  /** Starts two workers with the images, and the first seed. */
  async begin(run) {
    this.running = run;
    this.arms = {};
    for (const side of SIDES) this.arms[side] = new Arm("race", (message) => this.hear(side, message));
    const content = { files: this.files.images, manifest: this.files.catalogue.manifest };
    await Promise.all(SIDES.map((side) => this.arms[side].load("race.wasm", content)));
    this.pace(this.rest);
    await this.start();
  }

  request(side) {
    const { race, files } = this;
    const chosen = race.ablation
      ? { ablation: files.catalogue.ablations[race.ablation], arm: race[side], set: race.both }
      : { set: [...race.both, ...race.own[side]] };
    return { scale: files.catalogue.scale, seed: race.seed + this.at, epochs: race.epochs ?? undefined, ...chosen };
  }

  async start() {
    this.tests = {};
    const message = (side) => ({ type: "start", request: this.request(side), run: this.running });
    const opened = await Promise.all(SIDES.map((side) => this.arms[side].ask(message(side))));
    SIDES.forEach((side, at) => this.heard(side, opened[at]));
    if (this.looked !== null) this.look(this.looked);
  }

  hear(side, message) {
    this.heard(side, message);
    if (message.type !== "finished") return;
    this.tests[side] = message.test.error;
    if (!SIDES.every((side) => side in this.tests)) return;
    this.paired(this.race.seed + this.at, this.tests);
    this.at += 1;
    if (this.at < this.race.seeds) this.start().catch((error) => this.heard(side, { type: "failed", error: error.message }));
  }

  tell(message) {
    for (const side of SIDES) this.arms?.[side].tell(message);
  }

  run() {
    this.running = true;
    this.tell({ type: "run" });
  }

  async pause() {
    this.running = false;
    await Promise.all(SIDES.map((side) => this.arms[side].ask({ type: "pause" })));
  }

  step() {
    this.running = false;
    this.tell({ type: "step", count: 10 });
  }

  pace(rest) {
    this.rest = rest;
    this.tell({ type: "pace", rest });
  }

  /** Shows a test image to both networks, now and while they learn. */
  look(image) {
    this.looked = image;
    for (const side of SIDES) {
      this.arms?.[side].ask({ type: "look", image }).then((shown) => this.heard(side, shown), () => {});
    }
  }

  /** Compares the arms by the project's statistics. */
  compare(differences, delta) {
    return this.arms.left.ask({ type: "compare", differences, delta });
  }

  stop() {
    for (const side of SIDES) this.arms?.[side].stop();
    this.arms = null;
  }
}
