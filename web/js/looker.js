// The worker with trained weights, for drawings and photographs.

import { Arm } from "./arm.js";
import { bytes } from "./files.js";

/** Starts a worker with the looking module, which is loaded when it is first wanted. */
export async function looker() {
  const worker = new Arm("look");
  await worker.load("look.wasm");
  return worker;
}

/** The small network that comes with the page. */
export async function shipped(worker) {
  const file = (await bytes("mini.safetensors")).slice(0);
  return worker.ask({ type: "weights", name: "mini.safetensors", bytes: file }, [file]);
}
