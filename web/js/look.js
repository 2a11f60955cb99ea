// A photograph and weights of one's own: guesses, evidence and feature maps.

import { bars } from "./bars.js";
import { looker, shipped } from "./looker.js";
import { Gallery } from "./gallery.js";
import { arrays, kernels, maps } from "./pictures.js";

const $ = (id) => document.getElementById(id);
/** Rows of the grid of covered places: fewer for a large network, which takes longer. */
const PLACES = (parameters) => (parameters > 10_000_000 ? 8 : 12);

/** Adds a heading and a picture with the same words. */
function picture(place, words) {
  place.appendChild(document.createElement("h2")).textContent = words;
  const canvas = place.appendChild(document.createElement("canvas"));
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", words);
  return canvas;
}

export class LookPage {
  open() {
    if (this.opened) return;
    this.opened = true;
    $("weights").onchange = ({ target }) => target.files[0] && this.weights(target.files[0]);
    $("photograph").onchange = ({ target }) => this.photographs([...target.files]);
    $("shipped").onclick = () => this.weights(null);
    for (const choice of document.querySelectorAll("input[name=overlay]")) {
      choice.onchange = () => this.view && this.tried(null, () => this.overlay(choice.value));
    }
    const page = $("look");
    page.ondragover = (event) => event.preventDefault();
    page.ondrop = (event) => {
      event.preventDefault();
      const files = [...event.dataTransfer.files], photograph = (file) => /\.(jpe?g|png)$/i.test(file.name);
      files.filter((file) => !photograph(file)).forEach((file) => this.weights(file));
      this.photographs(files.filter(photograph));
    };
  }

  /** Does something after what was asked for before: a gallery is filled image by image. */
  attempt(doing, work) {
    this.last = Promise.resolve(this.last).then(() => this.tried(doing, work));
    return this.last;
  }

  /** Does something that may fail, and says so in one line. Meanwhile the page says what it does in place of the last failure, unless
   * that is null. */
  async tried(doing, work) {
    if (doing) {
      $("looked").textContent = doing;
      $("look-failure").hidden = true;
    }
    let worker = null;
    try {
      worker = this.worker ??= await looker();
      await work();
      $("look-failure").hidden = true;
    } catch (error) {
      $("look-failure").textContent = error.message;
      $("look-failure").hidden = false;
      if (doing) $("looked").textContent = "";
      if (error.lost && worker === this.worker) {
        worker.abandon(error);
        this.worker = this.described = this.view = null;
        $("looked").textContent = "The weights must be read again.";
      }
    }
  }

  /** Reads a file of weights, or the page's own for none. */
  weights(file) {
    return this.attempt("Reading weights…", async () => {
      this.described = this.view = null;
      if (file) {
        const bytes = await file.arrayBuffer();
        this.described = await this.worker.ask({ type: "weights", name: file.name, bytes }, [bytes]);
      } else {
        this.described = await shipped(this.worker);
      }
      this.say();
      await this.draw();
      this.gallery = new Gallery(this.worker, this.described);
      if (this.photos) await this.see();
    });
  }

  /** Draws the kernels of the first layer, a picture for each tower. */
  async draw() {
    const { squares, floats } = await this.worker.ask({ type: "kernels" });
    $("kernels").replaceChildren();
    for (const [square, values] of arrays(squares, floats)) {
      const tower = squares.length > 1 ? `, tower ${square.tower + 1}` : "";
      kernels(picture($("kernels"), `${square.layer}${tower}: ${square.count} kernels of ${square.side} × ${square.side}`), square, values, 16);
    }
  }

  /** Looks at the first of some photographs. The others are its gallery. */
  photographs(files) {
    if (files.length === 0) return null;
    return this.attempt("Reading the photograph…", async () => {
      this.photos = files;
      if (this.described) await this.see();
      else $("looked").textContent = "The photograph waits for weights.";
    });
  }

  say(more = "") {
    const { network, parameters, input: [channels, side], assumptions } = this.described;
    $("looked").textContent = `${network}: ${parameters.toLocaleString("en")} parameters, inputs of ${side} × ${side} pixels in `
      + `${channels === 1 ? "grey" : "colour"}. ${assumptions.map((it) => `The file ${it}. `).join("")}${more}`;
  }

  async see() {
    const bytes = await this.photos[0].arrayBuffer();
    const begun = performance.now();
    const seen = await this.worker.ask({ type: "photograph", bytes }, [bytes]);
    this.say(`Answered in ${((performance.now() - begun) / 1000).toFixed(2)} s.`);
    this.seen = seen;
    this.heat = {};
    document.querySelector(".looking").hidden = false;
    bars($("look-guesses"), seen.probabilities, this.described.labels);
    $("layers").replaceChildren();
    const split = new Set(seen.layers.filter(({ tower }) => tower > 0).map(({ layer }) => layer));
    for (const [square, values] of arrays(seen.layers, seen.floats)) {
      if (square.layer === "view") {
        this.view = { ...square, values };
        continue;
      }
      const tower = split.has(square.layer) ? `, tower ${square.tower + 1}` : "";
      maps(picture($("layers"), `${square.layer}${tower}: ${square.count} feature maps of ${square.side} × ${square.side}`), square, values, 16);
    }
    await this.overlay(document.querySelector("input[name=overlay]:checked").value);
    await this.gallery.show(this.photos);
  }

  /** Draws the view, with the evidence for the first guess in red. */
  async overlay(method) {
    if (!this.view) return;
    if (method !== "none" && !this.heat[method]) {
      const more = method === "occlusion" ? { places: PLACES(this.described.parameters) } : {};
      this.heat[method] = (await this.worker.ask({ type: method, ...more })).floats;
      if (!this.view) return; // other weights have come meanwhile
    }
    const { side, channels, values } = this.view, heat = this.heat[method], area = side * side;
    const most = heat ? Math.max(1e-12, [...heat].sort((a, b) => a - b)[Math.floor((area - 1) * 0.99)]) : 1;
    const canvas = $("view");
    canvas.width = canvas.height = side;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", method === "none" ? "The photograph as the network sees it" : `The photograph with ${method} in red`);
    const image = new ImageData(side, side);
    for (let at = 0; at < area; at++) {
      const share = heat ? 0.75 * Math.min(1, heat[at] / most) : 0;
      const colour = [0, 1, 2].map((c) => {
        const pixel = values[Math.min(c, channels - 1) * area + at] * (heat ? 0.6 : 1);
        return pixel * (1 - share) + (c === 0 ? 255 * share : 0);
      });
      image.data.set([...colour, 255], 4 * at);
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
  }
}
