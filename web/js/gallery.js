// The images of a gallery that are nearest to a photograph, by the features of the last hidden layer.

import { json } from "./files.js";
import { first } from "./images.js";
import { image } from "./pictures.js";

const $ = (id) => document.getElementById(id);
const SHOWN = 5;
/** The number of the page's own images: fewer for a large network, which takes longer. */
const OWN = (parameters) => (parameters > 10_000_000 ? 40 : 500);

/** The gallery of one network. */
export class Gallery {
  constructor(worker, { parameters }) {
    Object.assign(this, { worker, parameters, added: [] });
  }

  /** Shows the images nearest to the first photograph: of the other photographs, or of the page's own images if there are none. */
  async show([photograph, ...others]) {
    $("nearest").replaceChildren();
    const own = others.length === 0;
    // Each photograph has the images that it was dropped with; the page's own stay.
    if (!own || !this.own) await this.fill(own ? await this.images() : others.map((file) => ({ name: file.name, file })));
    this.own = own;
    $("gallery").textContent = own
      ? `The first ${this.added.length} test images of this page. Drop several photographs for a gallery of your own: the first is looked at.`
      : `${this.added.length} photographs beside ${photograph.name}.`;
    const { near } = await this.worker.ask({ type: "nearest", count: SHOWN });
    $("nearest").replaceChildren(...near.map(({ image, distance }) => drawn(this.added[image], distance)));
  }

  async images() {
    const { classes } = await json("catalogue.json");
    return first(OWN(this.parameters), classes);
  }

  /** Replaces the gallery's images. One that cannot be read is left out. */
  async fill(images) {
    await this.worker.ask({ type: "empty" });
    this.added = [];
    for (const one of images) {
      $("gallery").textContent = `Image ${this.added.length + 1} of ${images.length}…`;
      const bytes = one.file ? await one.file.arrayBuffer() : one.pixels.slice().buffer;
      try {
        await this.worker.ask({ type: "gallery", bytes, side: one.file ? 0 : 28 }, [bytes]);
        this.added.push(one);
      } catch (error) {
        if (error.lost) throw error;
        console.info(`${one.name}: ${error.message}`);
      }
    }
  }
}

function drawn({ name, file, pixels }, distance) {
  const figure = document.createElement("figure");
  if (file) {
    const shown = figure.appendChild(new Image());
    shown.alt = "";
    shown.src = URL.createObjectURL(file);
    shown.onload = () => URL.revokeObjectURL(shown.src);
  } else {
    image(figure.appendChild(document.createElement("canvas")), 28, pixels);
  }
  figure.appendChild(document.createElement("figcaption")).textContent = `${name}, ${distance.toPrecision(3)}`;
  return figure;
}
