// Kernels and feature maps as pixels.

/** Draws `count` squares of `side`² numbers for each of `channels` in rows; `level` maps a number to 0–255. Three channels are colours. */
function sheet(canvas, values, { count, channels = 1, side }, perRow, level) {
  const columns = Math.min(perRow, count), rows = Math.ceil(count / columns), cell = side + 1;
  canvas.width = columns * cell - 1;
  canvas.height = rows * cell - 1;
  canvas.style.aspectRatio = `${canvas.width} / ${canvas.height}`;
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  for (let at = 0; at < count; at++) {
    const [left, top] = [(at % columns) * cell, Math.floor(at / columns) * cell];
    for (let pixel = 0; pixel < side * side; pixel++) {
      const place = 4 * ((top + Math.floor(pixel / side)) * canvas.width + left + (pixel % side));
      const colour = [0, 1, 2].map((c) => level(values[(at * channels + (channels === 3 ? c : 0)) * side * side + pixel]));
      image.data.set([...colour, 255], place);
    }
  }
  context.putImageData(image, 0, 0);
}

/** The arrays that squares describe, one after the other. */
export function* arrays(squares, floats) {
  let at = 0;
  for (const square of squares) {
    const length = square.count * square.channels * square.side ** 2;
    yield [square, floats.subarray(at, at + length)];
    at += length;
  }
}

/** Kernels: grey is zero, and all of a tower have one scale. */
export function kernels(canvas, square, values, perRow = 8) {
  const most = values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);
  sheet(canvas, values, square, perRow, (value) => 127.5 + (127.5 * value) / most);
}

/** Feature maps: black is zero or less, white the largest of the layer. */
export function maps(canvas, square, values, perRow = 16) {
  const most = values.reduce((most, value) => Math.max(most, value), 1e-9);
  sheet(canvas, values, square, perRow, (value) => (255 * Math.max(0, value)) / most);
}

/** An image of 0–255. */
export function image(canvas, side, values) {
  sheet(canvas, values, { count: 1, side }, 1, (value) => value);
}
