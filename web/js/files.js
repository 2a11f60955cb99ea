// The page's files: from its server, or from the page itself where it is one file.

const kept = new Map();

async function fetched(name) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name}: the server answers ${response.status}`);
  return response.arrayBuffer();
}

function embedded(element) {
  return Uint8Array.from(atob(element.textContent.trim()), (letter) => letter.charCodeAt(0)).buffer;
}

/** The bytes of a file. Each is loaded once. */
export function bytes(name) {
  if (!kept.has(name)) {
    const element = document.getElementById(`file:${name}`);
    kept.set(name, element ? Promise.resolve(embedded(element)) : fetched(name));
  }
  return kept.get(name);
}

/** A file of JSON. */
export async function json(name) {
  return JSON.parse(new TextDecoder().decode(await bytes(name)));
}

/** A module, compiled once for all workers. */
export async function compiled(name) {
  const key = `compiled:${name}`;
  if (!kept.has(key)) kept.set(key, bytes(name).then((wasm) => WebAssembly.compile(wasm)));
  return kept.get(key);
}

/** A worker that runs a script of `worker/`. */
export function worker(name) {
  const element = document.getElementById(`worker:${name}`);
  if (!element) return new Worker(new URL(`../worker/${name}.js`, import.meta.url), { type: "module" });
  return new Worker(URL.createObjectURL(new Blob([element.textContent], { type: "text/javascript" })));
}

/** The bytes behind gzip. */
export async function unpacked(packed) {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}
