// Test images to choose from: the first of each class.

import { bytes, unpacked } from "./files.js";
import { image } from "./pictures.js";

/** The pixels of the test images, and their classes. */
async function tests() {
  const read = async (name) => new Uint8Array(await unpacked(await bytes(name)));
  const [pixels, labels] = await Promise.all(["t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"].map(read));
  return { labels: labels.subarray(8), pixels: (number) => pixels.slice(16 + number * 784, 16 + (number + 1) * 784) };
}

/** Returns for each class the number of its first test image, and its pixels. */
export async function examples(classes) {
  const { labels, pixels } = await tests();
  return classes.map((name, label) => {
    const number = labels.indexOf(label);
    return { name, number, pixels: pixels(number) };
  });
}

/** Returns the first `count` test images. */
export async function first(count, classes) {
  const { labels, pixels } = await tests();
  return Array.from({ length: count }, (_, number) => ({ name: classes[labels[number]], pixels: pixels(number) }));
}

/** Fills `place` with a button for each example. */
export function choices(place, found, chosen) {
  place.replaceChildren(...found.map((example) => {
    const button = document.createElement("button");
    button.type = "button";
    const canvas = button.appendChild(document.createElement("canvas"));
    image(canvas, 28, example.pixels);
    button.append(example.name);
    button.setAttribute("aria-pressed", "false");
    button.onclick = () => {
      for (const other of place.children) other.setAttribute("aria-pressed", String(other === button));
      chosen(example);
    };
    return button;
  }));
}
