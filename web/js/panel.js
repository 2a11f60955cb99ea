// What the page says of one arm: a panel with its numbers, and pictures of its first layer and of its feature maps.

import { bars } from "./bars.js";
import { arrays, kernels, maps } from "./pictures.js";

const count = new Intl.NumberFormat("en");

function made(parent, tag, className = "") {
  const element = parent.appendChild(document.createElement(tag));
  element.className = className;
  return element;
}

export class Panel {
  constructor(side) {
    const [numbers, pictures] = document.querySelectorAll(`[data-side="${side}"]`);
    numbers.replaceChildren();
    this.title = made(numbers, "h3");
    this.about = made(numbers, "p", "about");
    this.error = made(numbers, "div", "error");
    this.what = made(numbers, "p");
    this.progress = made(numbers, "progress");
    this.rate = made(numbers, "p");
    this.crossing = made(numbers, "p");
    pictures.replaceChildren();
    made(pictures, "h3").textContent = "Kernels of conv1";
    this.kernels = made(pictures, "div", "towers");
    this.maps = made(pictures, "div");
    this.reset({ name: side, about: "" });
  }

  /** Shows an arm that has not begun. */
  reset({ name, about }) {
    this.title.textContent = name;
    this.about.textContent = about;
    this.error.textContent = "–";
    this.what.textContent = "not begun";
    this.progress.value = 0;
    this.rate.textContent = this.crossing.textContent = "";
    this.kernels.replaceChildren();
    this.maps.replaceChildren();
    delete this.maps.dataset.layers;
  }

  /** Shows the size of a network that begins. */
  begin({ parameters, steps, batch_size }) {
    Object.assign(this, { batch: batch_size, parameters });
    this.progress.max = steps;
    this.progress.value = 0;
    this.crossing.textContent = "";
    this.numbers(0, 0);
  }

  /** Shows where training is. @param {number} rate images a second */
  numbers(step, rate) {
    this.progress.value = step;
    const speed = rate ? ` · ${count.format(Math.round(rate / 10) * 10)} images/s` : "";
    this.rate.textContent = `${count.format(step)} of ${count.format(this.progress.max)} updates${speed} · ${count.format(this.parameters)} parameters`;
  }

  score(error, what) {
    this.error.textContent = `${(100 * error).toFixed(1)} %`;
    this.what.textContent = what;
  }

  crossed(step) {
    this.crossing.textContent = `25 % after ${count.format(step)} updates`;
  }

  /** @param {import("./protocol.js").Kernels} message */
  draw({ squares, floats }) {
    for (const [square, values] of arrays(squares, floats)) {
      const canvas = this.kernels.children[square.tower] ?? made(this.kernels, "canvas");
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${square.count} kernels of tower ${square.tower + 1}`);
      kernels(canvas, square, values);
    }
  }

  /** @param {import("./protocol.js").Shown} message */
  show(message, classes) {
    if (this.maps.dataset.layers !== JSON.stringify(message.layers)) {
      this.maps.replaceChildren();
      this.maps.dataset.layers = JSON.stringify(message.layers);
      made(this.maps, "h3").textContent = "Guesses";
      this.guesses = made(this.maps, "ol", "bars");
      this.sheets = {};
      for (const { layer, tower, count } of message.layers.slice(1)) {
        if (tower === 0) {
          made(this.maps, "h3").textContent = `Feature maps of ${layer}`;
          this.sheets[layer] = made(this.maps, "div", "towers");
        }
        const canvas = made(this.sheets[layer], "canvas");
        canvas.setAttribute("role", "img");
        canvas.setAttribute("aria-label", `${count} feature maps of ${layer}, tower ${tower + 1}`);
      }
    }
    bars(this.guesses, message.probabilities, classes, { most: 3, right: message.class });
    for (const [square, values] of arrays(message.layers, message.floats)) {
      if (square.layer !== "image") maps(this.sheets[square.layer].children[square.tower], square, values, 8);
    }
  }
}
