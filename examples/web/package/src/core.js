// derm.wasm, the C++ core: its functions with text and bytes for arguments. derm_web.cpp is the other side.
import { DermError, NO_MEMORY } from "./errors.js";

const FITS = ["stretch", "crop", "pad"];
const ROUTINGS = ["all", "lazy", "top"];

export class Core {
  #wasm;
  #session;
  #photo = null;

  /** @param {WebAssembly.Module} module derm.wasm */
  static async load(module) {
    const core = new Core();
    const imports = {
      env: {
        derm_web_rows: (first, count, out) => core.#rows(first, count, out),
        emscripten_notify_memory_growth() {},
      },
      wasi_snapshot_preview1: { proc_exit() {} },
    };
    const instance = await WebAssembly.instantiate(module, imports);
    core.#wasm = instance.exports;
    core.#wasm._initialize();
    core.#session = core.#wasm.derm_web_session();
    return core;
  }

  /** Opens a .derm file and gives its description. The session keeps a copy of the bytes. */
  open(bytes) {
    const data = this.#new(bytes);
    return JSON.parse(this.#checked(this.#wasm.derm_web_open(this.#session, data, bytes.length)));
  }

  /** The bytes of a graph, as the description says where they are. */
  graphBytes(graph) {
    return this.#bytes(graph.data, graph.bytes);
  }

  /** Resizes a photo: { width, height, rows(first, count) }, its rows RGBA. Without a size: as the opened model asks. */
  resize(photo, size = 0, fit = "crop") {
    this.#photo = photo;
    try {
      this.#checked(this.#wasm.derm_web_resize(this.#session, photo.width, photo.height, size, FITS.indexOf(fit)));
    } finally {
      this.#photo = null;
    }
  }

  /** One input of a network, made of the resized photo. */
  derive(kind, skinType = 0) {
    return this.#withText(kind, (text, length) => {
      this.#check(this.#wasm.derm_web_derive(this.#session, text, length, skinType));
      return this.#bytes(this.#wasm.derm_web_text(), this.#wasm.derm_web_text_size()).slice();
    });
  }

  /** `prior`: pairs of a node's id or name and its share; none: the training's own shares. */
  setPrior(prior) {
    const names = prior.map(([node]) => `${node}\0`).join("");
    const data = this.#new(Float64Array.from(prior, ([, share]) => share));
    try {
      this.#withText(names, (text, length) =>
        this.#check(this.#wasm.derm_web_prior(this.#session, text, length, data, prior.length)));
    } finally {
      this.#wasm.derm_web_free(data);
    }
  }

  classify(skinType, routing) {
    this.#check(this.#wasm.derm_web_classify(this.#session, skinType, ROUTINGS.indexOf(routing)));
  }

  explain(skinType, node) {
    this.#withText(node ?? "", (text, length) => this.#check(this.#wasm.derm_web_explain(this.#session, skinType, text, length)));
  }

  selftest() {
    this.#check(this.#wasm.derm_web_selftest(this.#session));
  }

  /** What is to be run next, { graph: its number, evidence }; null when nothing is. */
  due() {
    const due = this.#wasm.derm_web_due(this.#session);
    return due < 0 ? null : { graph: due >> 1, evidence: (due & 1) === 1 };
  }

  /** An input of the graph that is due; valid until the next call. */
  input(tensor) {
    return this.#withText(tensor.kind, (text, length) =>
      this.#bytes(this.#wasm.derm_web_input(this.#session, text, length), tensor.bytes));
  }

  /** What the graph that is due stored. */
  take(stored) {
    const data = this.#new(stored);
    try {
      this.#check(this.#wasm.derm_web_take(this.#session, data, stored.byteLength));
    } finally {
      this.#wasm.derm_web_free(data);
    }
  }

  /** The JSON of what was asked for, once nothing is due. */
  finish() {
    return this.#checked(this.#wasm.derm_web_finish(this.#session));
  }

  /** The sentence behind a number of derm.h, with a detail. */
  error(status, detail) {
    this.#wasm.derm_web_sentence(status);
    return new DermError(status, `${this.#text()} (${detail})`);
  }

  close() {
    this.#wasm.derm_web_close(this.#session);
    this.#session = 0;
  }

  #rows(first, count, out) {
    this.#bytes(out, count * this.#photo.width * 4).set(this.#photo.rows(first, count));
  }

  #bytes(address, length) {
    return new Uint8Array(this.#wasm.memory.buffer, address, length);
  }

  #text() {
    return new TextDecoder().decode(this.#bytes(this.#wasm.derm_web_text(), this.#wasm.derm_web_text_size()));
  }

  #check(status) {
    if (status !== 0) throw new DermError(status, this.#text());
  }

  #checked(status) {
    this.#check(status);
    return this.#text();
  }

  #new(values) {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    const data = this.#wasm.derm_web_new(bytes.length);
    if (data === 0) throw this.error(NO_MEMORY, `${bytes.length} bytes`);
    this.#bytes(data, bytes.length).set(bytes);
    return data;
  }

  #withText(text, use) {
    const bytes = new TextEncoder().encode(text);
    const data = this.#new(bytes);
    try {
      return use(data, bytes.length);
    } finally {
      this.#wasm.derm_web_free(data);
    }
  }
}
