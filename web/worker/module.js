// A compiled module and its memory. The other side is crates/web/src/exports.rs.

/** The instance of a module. One worker has one. */
export class Module {
  /** Whether a request ended without an answer or an error of its own, after which there are no more answers. */
  lost = false;

  /** @param {WebAssembly.Module} compiled */
  static async of(compiled) {
    // Burn's dependencies import functions of browsers that no request calls.
    const imports = {};
    for (const { module, name, kind } of WebAssembly.Module.imports(compiled)) {
      if (kind !== "function") throw new Error(`the module wants ${kind} ${module}.${name}`);
      imports[module] ??= {};
      imports[module][name] = () => { throw new Error(`${name} is not there`); };
    }
    return new Module((await WebAssembly.instantiate(compiled, imports)).exports);
  }

  /** @param {WebAssembly.Exports} exports */
  constructor(exports) {
    this.exports = exports;
  }

  /** The bytes of memory that the module uses. */
  get memory() {
    return this.exports.memory.buffer.byteLength;
  }

  /** Does a request with bytes (an ArrayBuffer, or anything else as JSON, a string as it is) and returns what it answers. */
  ask(name, content, ...numbers) {
    const { exports } = this;
    let failed;
    try {
      if (content !== undefined) {
        const bytes = content instanceof ArrayBuffer
          ? new Uint8Array(content)
          : new TextEncoder().encode(typeof content === "string" ? content : JSON.stringify(content));
        const at = exports.input(bytes.length);
        new Uint8Array(exports.memory.buffer, at, bytes.length).set(bytes);
      }
      failed = exports[name](...numbers);
    } catch (trap) {
      this.lost = true;
      throw new Error(this.text() || String(trap));
    }
    if (failed) throw new Error(this.text());
    const text = this.text();
    return { value: text ? JSON.parse(text) : null, floats: this.floats() };
  }

  text() {
    const { memory, text, text_length } = this.exports;
    return new TextDecoder().decode(new Uint8Array(memory.buffer, text(), text_length()).slice());
  }

  floats() {
    const { memory, floats, floats_length } = this.exports;
    return new Float32Array(memory.buffer, floats(), floats_length()).slice();
  }
}
