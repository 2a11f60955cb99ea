// The page's side of a worker.

import { compiled, worker } from "./files.js";

/** A worker and the answers that the page waits for. Messages that answer nothing go to `heard`. */
export class Arm {
  /** @param {string} script @param {(message: import("./protocol.js").ToPage) => void} heard */
  constructor(script, heard = () => {}) {
    this.waiting = new Map();
    this.next = 1;
    this.worker = worker(script);
    this.worker.onmessage = ({ data }) => {
      const waits = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if (!waits) heard(data);
      else if (data.type === "failed") waits.reject(Object.assign(new Error(data.error), { lost: data.lost }));
      else waits.resolve(data);
    };
    this.worker.onerror = (event) => heard({ type: "failed", error: event.message || "the worker did not start" });
  }

  /** Sends a message. @param {import("./protocol.js").ToWorker} message */
  tell(message, moved = []) {
    this.worker.postMessage(message, moved);
  }

  /** Sends a message and returns the answer. */
  ask(message, moved = []) {
    const id = this.next++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.tell({ ...message, id }, moved);
    });
  }

  /** Loads a module into the worker, with other content. */
  async load(module, content = {}) {
    return this.ask({ type: "load", compiled: await compiled(module), ...content });
  }

  /** Ends the worker. What it was asked and has not answered fails. */
  abandon(error) {
    this.stop();
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }

  /** Ends the worker, which frees its memory. */
  stop() {
    this.worker.terminate();
  }
}
