// A drawing board of 28 pixels, and what the small network sees on it.

import { bars } from "./bars.js";
import { choices, examples } from "./images.js";
import { json } from "./files.js";
import { looker, shipped } from "./looker.js";

const SIDE = 28;
const $ = (id) => document.getElementById(id);

export class DrawPage {
  constructor() {
    this.pixels = new Float32Array(SIDE * SIDE);
    this.cursor = [14, 14];
    this.busy = false;
  }

  async open() {
    if (this.opened) return;
    this.opened = true;
    this.listen();
    this.paint();
    try {
      const { classes } = await json("catalogue.json");
      choices($("begin"), await examples(classes), ({ pixels }) => this.put(Float32Array.from(pixels)));
      this.worker = await looker();
      this.labels = (await shipped(this.worker)).labels;
      this.guess();
    } catch (error) {
      $("drawn").textContent = error.message;
    }
  }

  listen() {
    const board = $("board");
    let last = null;
    const place = (event) => {
      const box = board.getBoundingClientRect();
      return [((event.clientX - box.left) * SIDE) / box.width, ((event.clientY - box.top) * SIDE) / box.height];
    };
    board.onpointerdown = (event) => {
      board.setPointerCapture(event.pointerId);
      last = place(event);
      this.stroke(last, last);
    };
    board.onpointermove = (event) => {
      if (!last) return;
      const next = place(event);
      this.stroke(last, next);
      last = next;
    };
    board.onpointerup = board.onpointercancel = () => { last = null; };
    board.onkeydown = (event) => {
      const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!by && event.key !== " ") return;
      event.preventDefault();
      if (by) this.cursor = this.cursor.map((at, axis) => Math.max(0, Math.min(SIDE - 1, at + by[axis])));
      else this.stroke(this.cursor, this.cursor);
      this.paint();
    };
    board.onfocus = board.onblur = () => this.paint();
    $("wipe").onclick = () => this.put(new Float32Array(SIDE * SIDE));
  }

  put(pixels) {
    this.pixels = pixels;
    this.paint();
    this.guess();
  }

  /** Draws a line with a soft edge. */
  stroke([x0, y0], [x1, y1]) {
    const radius = +$("brush").value;
    const length = Math.hypot(x1 - x0, y1 - y0) || 1;
    for (let y = 0; y < SIDE; y++) {
      for (let x = 0; x < SIDE; x++) {
        const [dx, dy] = [x + 0.5 - x0, y + 0.5 - y0];
        const along = Math.max(0, Math.min(length, (dx * (x1 - x0) + dy * (y1 - y0)) / length));
        const far = Math.hypot(dx - (along * (x1 - x0)) / length, dy - (along * (y1 - y0)) / length);
        const ink = 255 * Math.max(0, Math.min(1, radius + 0.5 - far));
        this.pixels[y * SIDE + x] = Math.max(this.pixels[y * SIDE + x], ink);
      }
    }
    this.paint();
    this.guess();
  }

  paint() {
    const context = $("board").getContext("2d");
    const image = context.createImageData(SIDE, SIDE);
    this.pixels.forEach((grey, at) => image.data.set([grey, grey, grey, 255], 4 * at));
    if (document.activeElement === $("board")) {
      const at = 4 * (this.cursor[1] * SIDE + this.cursor[0]);
      image.data.set([86, 180, 233], at);
    }
    context.putImageData(image, 0, 0);
  }

  /** Asks the network. While it answers, newer drawings wait, and the newest is asked next. */
  async guess() {
    this.due = true;
    if (!this.labels || this.busy) return;
    this.busy = true;
    while (this.due) {
      this.due = false;
      const png = await this.png();
      const { probabilities } = await this.worker.ask({ type: "photograph", bytes: png }, [png]);
      bars($("guesses"), probabilities, this.labels);
      $("drawn").textContent = this.pixels.some((grey) => grey > 0) ? "" : "An empty board: what the network says of nothing.";
    }
    this.busy = false;
  }

  async png() {
    const canvas = new OffscreenCanvas(SIDE, SIDE);
    const image = new ImageData(SIDE, SIDE);
    this.pixels.forEach((grey, at) => image.data.set([grey, grey, grey, 255], 4 * at));
    canvas.getContext("2d").putImageData(image, 0, 0);
    return (await canvas.convertToBlob({ type: "image/png" })).arrayBuffer();
  }
}
