// The worker of one arm of a race. Its messages are described in docs/web.md and typed in js/protocol.js.

import { Module } from "./module.js";

/** Steps between two looks at the inbox: about a tenth of a second. */
const CHUNK = 10;
/** Chunks between two pictures of the kernels. */
const PICTURE = 5;

let module, running = false, due = false, looked = null, chunks = 0, rest = 0;

/** Trains on after the messages that have come, or after some milliseconds. */
const inbox = new MessageChannel();
inbox.port1.onmessage = () => {
  due = false;
  if (running) train(CHUNK);
};
function goOn(milliseconds = 0) {
  if (due) return;
  due = true;
  if (milliseconds > 0) setTimeout(() => inbox.port2.postMessage(0), milliseconds);
  else inbox.port2.postMessage(0);
}

/** What to do with a message, by its type. */
const requests = {
  async load({ compiled, files, manifest }) {
    module = await Module.of(compiled);
    if (!files) return { type: "loaded" };
    for (const file of files) module.ask("file", file);
    const [classes, sizes] = module.ask("data", manifest).value;
    return { type: "loaded", classes, sizes };
  },
  list: (message) => ({ type: "listed", ablations: module.ask("list", message.files).value }),
  start({ request, run }) {
    const opened = module.ask("open", request).value;
    chunks = 0;
    running = run;
    if (running) goOn();
    return { type: "started", ...opened };
  },
  step({ count }) {
    running = false;
    train(count);
  },
  run() {
    running = true;
    goOn();
  },
  pace(message) {
    rest = message.rest;
  },
  pause() {
    running = false;
    return { type: "paused" };
  },
  look({ image }) {
    looked = image;
    return shown();
  },
  compare: ({ differences, delta }) => ({ type: "compared", ...module.ask("compare", { differences, delta }).value }),
  stop: () => close(),
};

function shown() {
  const { value, floats } = module.ask("maps", undefined, looked);
  return { type: "shown", image: looked, ...value, floats };
}

function kernels() {
  const { value, floats } = module.ask("kernels");
  return { type: "kernels", squares: value, floats };
}

/** Sends a message; arrays of numbers move without a copy. */
function send(message) {
  postMessage(message, message.floats ? [message.floats.buffer] : []);
}

function train(count) {
  try {
    const begun = performance.now();
    const advanced = module.ask("advance", undefined, count).value;
    const milliseconds = performance.now() - begun;
    send({ type: "advanced", ...advanced, milliseconds, memory: module.memory });
    chunks += 1;
    const picture = advanced.done || !running || chunks % PICTURE === 1;
    if (picture) {
      send(kernels());
      if (looked !== null) send(shown());
    }
    if (advanced.done) {
      running = false;
      send({ type: "finished", test: module.ask("test").value });
    }
    // A slower pace rests after each chunk for a multiple of its time.
    if (running) goOn(rest * milliseconds);
  } catch (error) {
    running = false;
    send({ type: "failed", error: error.message });
  }
}

onmessage = async ({ data }) => {
  try {
    const answer = await requests[data.type](data);
    if (answer) send({ ...answer, id: data.id });
  } catch (error) {
    running = false;
    send({ type: "failed", error: error.message, id: data.id });
  }
};
