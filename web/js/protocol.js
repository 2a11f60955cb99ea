// The messages between the page and the worker of an arm. Types only; docs/web.md tells what happens when.

/**
 * @typedef {object} Request What is to be trained, in the words of the command line.
 * @property {string} scale TOML of the scale
 * @property {string=} ablation TOML of the ablation
 * @property {string=} arm name of its arm
 * @property {string[]} set changes, `key=value`
 * @property {number=} epochs
 * @property {number} seed
 *
 * @typedef {{type: "load", id: number, compiled: WebAssembly.Module, files?: ArrayBuffer[], manifest?: string}} Load
 * @typedef {{type: "list", id: number, files: {scale: string, ablations: string[], channels: number}}} List
 * @typedef {{type: "start", id: number, request: Request, run: boolean}} Start
 * @typedef {{type: "step", count: number}} Step
 * @typedef {{type: "run"}} Run
 * @typedef {{type: "pace", rest: number}} Pace rests after each chunk of steps for this multiple of its time
 * @typedef {{type: "pause", id: number}} Pause
 * @typedef {{type: "look", id: number, image: number}} Look
 * @typedef {{type: "compare", id: number, differences: number[], delta: number}} Compare
 * @typedef {{type: "stop"}} Stop
 * @typedef {Load|List|Start|Step|Run|Pace|Pause|Look|Compare|Stop} ToWorker
 *
 * @typedef {{split: string, epoch: number, step: number, images: number, loss: number, error: number}} Scored
 * @typedef {{layer: string, tower: number, count: number, channels: number, side: number}} Squares
 *
 * @typedef {{type: "loaded", id: number, classes: string[], sizes: number[]}} Loaded
 * @typedef {{type: "listed", id: number, ablations: object[]}} Listed
 * @typedef {{type: "started", id: number, steps: number, steps_per_epoch: number, batch_size: number, stop_at: number,
 *   parameters: number, towers: number, compared: string, config: string}} Started
 * @typedef {{type: "advanced", steps: [number, number, number][], passes: Scored[], done: boolean, milliseconds: number,
 *   memory: number}} Advanced a step is its number, loss and error
 * @typedef {{type: "kernels", squares: Squares[], floats: Float32Array}} Kernels
 * @typedef {{type: "shown", image: number, class: number, probabilities: number[], layers: Squares[], floats: Float32Array}} Shown
 * @typedef {{type: "finished", test: Scored}} Finished
 * @typedef {{type: "paused", id: number}} Paused
 * @typedef {{type: "compared", id: number, mean: number, interval: [number, number] | null}} Compared
 * @typedef {{type: "failed", id?: number, error: string, lost?: boolean}} Failed lost: the module answers no more
 * @typedef {Loaded|Listed|Started|Advanced|Kernels|Shown|Finished|Paused|Compared|Failed} ToPage
 */

export {};
