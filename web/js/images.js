// Test images to choose from: the first of each class.

import { bytes, unpacked } from "./files.js";
import { image } from "./pictures.js";

/** Returns for each class the number of its first test image, and its pixels. */
export async function examples(classes) {
  const [pixels, labels] = await Promise.all(
    ["t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"].map(async (name) => new Uint8Array(await unpacked(await bytes(name)))));
  return classes.map((name, label) => {
    const number = labels.indexOf(label, 8) - 8;
    return { name, number, pixels: pixels.subarray(16 + number * 784, 16 + (number + 1) * 784) };
  });
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
