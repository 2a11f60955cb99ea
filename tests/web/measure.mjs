// Measures the modules of web/dist in Node, on one thread: node tests/web/measure.mjs web/dist

import fs from "fs";
import { deflateSync } from "zlib";

import { Module } from "../../web/worker/module.js";

const dist = process.argv[2];
const file = (name) => { const bytes = fs.readFileSync(`${dist}/${name}`); return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length); };
const module = async (name) => Module.of(await WebAssembly.compile(file(name)));
const catalogue = JSON.parse(fs.readFileSync(`${dist}/catalogue.json`, "utf8"));

/** Trains an arm of `lrn` for two epochs and returns the images a second of the second one. */
async function rate(arm) {
  const race = await module("race.wasm");
  for (const name of ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"]) race.ask("file", file(`${name}-ubyte.gz`));
  race.ask("data", catalogue.manifest);
  const { steps_per_epoch: epoch } = race.ask("open", { scale: catalogue.scale, ablation: catalogue.ablations.lrn, arm, set: [], epochs: 2, seed: 0 }).value;
  race.ask("advance", undefined, epoch);
  const begun = performance.now();
  race.ask("advance", undefined, epoch - 1); // without the validation at the epoch's end
  const seconds = (performance.now() - begun) / 1000;
  return `lrn ${arm}: ${Math.round((32 * (epoch - 1)) / seconds)} images/s, ${Math.round(race.memory / 2 ** 20)} MiB`;
}

/** Uniform numbers in [0, 1), the same each time (xorshift). */
let state = 1;
function uniform() {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) / 2 ** 32;
}

/** A file of weights with the names and shapes of torchvision's AlexNet. */
function torchvision() {
  const shapes = { "features.0": [64, 3, 11, 11], "features.3": [192, 64, 5, 5], "features.6": [384, 192, 3, 3], "features.8": [256, 384, 3, 3],
    "features.10": [256, 256, 3, 3], "classifier.1": [4096, 9216], "classifier.4": [4096, 4096], "classifier.6": [1000, 4096] };
  const header = {}, parts = [];
  let at = 0;
  for (const [layer, shape] of Object.entries(shapes)) {
    const range = Math.sqrt(6 / shape.slice(1).reduce((a, b) => a * b));
    for (const [kind, extents] of [["weight", shape], ["bias", shape.slice(0, 1)]]) {
      const values = new Float32Array(extents.reduce((a, b) => a * b));
      if (kind === "weight") values.forEach((_, place) => { values[place] = (2 * uniform() - 1) * range; });
      const bytes = Buffer.from(values.buffer);
      header[`${layer}.${kind}`] = { dtype: "F32", shape: extents, data_offsets: [at, at + bytes.length] };
      at += bytes.length;
      parts.push(bytes);
    }
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, ...parts]);
}

/** A PNG of noise, in colour. */
function noise(width, height) {
  const crc = (bytes) => ~bytes.reduce((sum, byte) => { sum ^= byte; for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1; return sum; }, ~0) >>> 0;
  const word = (value) => { const four = Buffer.alloc(4); four.writeUInt32BE(value); return four; };
  const chunk = (kind, data) => { const body = Buffer.concat([Buffer.from(kind), data]); return Buffer.concat([word(data.length), body, word(crc(body))]); };
  const rows = Buffer.alloc(height * (1 + 3 * width));
  for (let at = 0; at < rows.length; at++) if (at % (1 + 3 * width)) rows[at] = 256 * uniform();
  const head = Buffer.concat([word(width), word(height), Buffer.from([8, 2, 0, 0, 0])]);
  return Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), chunk("IHDR", head), chunk("IDAT", deflateSync(rows)), chunk("IEND", Buffer.alloc(0))]);
}

const whole = (bytes) => bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
console.log(await rate("on"));
console.log(await rate("off"));
const look = await module("look.wasm");
const weights = torchvision(), picture = noise(400, 300);
if (process.argv[3]) {
  fs.writeFileSync(`${process.argv[3]}/torchvision.safetensors`, weights);
  fs.writeFileSync(`${process.argv[3]}/noise.png`, picture);
}
const timed = (what, work) => { const begun = performance.now(); const answer = work(); console.log(`torchvision: ${what} ${Math.round(performance.now() - begun)} ms, ${Math.round(look.memory / 2 ** 20)} MiB`); return answer; };
look.ask("name", "torchvision.safetensors");
timed("reading", () => look.ask("weights", whole(weights)));
for (const turn of ["first", "second"]) timed(`${turn} photograph`, () => look.ask("photograph", whole(picture)));
timed("saliency", () => look.ask("saliency"));
timed("occlusion at 64 places", () => look.ask("occlusion", undefined, 8));
if (process.argv[3]) fs.writeFileSync(`${process.argv[3]}/probabilities.json`, JSON.stringify(look.ask("photograph", whole(picture)).value.probabilities));
