// The worker that looks at images with trained weights. Its messages are described in docs/web.md.

import { Module } from "./module.js";

let module;

/** What to do with a message, by its type. Every message has one answer. */
const requests = {
  async load({ compiled }) {
    module = await Module.of(compiled);
    return {};
  },
  weights: ({ name, bytes }) => {
    module.ask("name", name);
    return module.ask("weights", bytes).value;
  },
  photograph: ({ bytes }) => {
    const { value, floats } = module.ask("photograph", bytes);
    return { ...value, floats, memory: module.memory };
  },
  kernels: () => {
    const { value, floats } = module.ask("conv1");
    return { squares: value, floats };
  },
  empty: () => {
    module.ask("empty");
    return {};
  },
  gallery: ({ bytes, side }) => {
    module.ask("gallery", bytes, side);
    return {};
  },
  nearest: ({ count }) => ({ near: module.ask("nearest", undefined, count).value }),
  occlusion: ({ places }) => {
    const { value, floats } = module.ask("occlusion", undefined, places);
    return { ...value, floats };
  },
  saliency: () => {
    const { value, floats } = module.ask("saliency");
    return { ...value, floats };
  },
};

onmessage = async ({ data }) => {
  try {
    const answer = await requests[data.type](data);
    postMessage({ type: data.type, ...answer, id: data.id }, answer.floats ? [answer.floats.buffer] : []);
  } catch (error) {
    postMessage({ type: "failed", error: error.message, lost: module?.lost ?? false, id: data.id });
  }
};
