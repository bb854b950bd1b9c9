// derm-sdk-web: photos of skin classified in the browser. The work is done in a worker; this file talks to it.
import { ARGUMENT_CLOSED, ARGUMENT_PRIOR_EMPTY, ARGUMENT_THREADS, DermError, FETCH, INTERNAL, NO_MEMORY, PICTURE, RUNTIME_LOAD } from "./errors.js";

export { DermError } from "./errors.js";

// A module with an instruction of relaxed SIMD, which LiteRT's quicker build needs.
const RELAXED_SIMD = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11,
);
const MOST_THREADS = 4;
const PATIENCE_MS = 30_000; // with threads that may never start
const MAX_MODEL_BYTES = 500_000_000;

/** Which of LiteRT's builds this page can run, with how many threads. */
export function runtimeFor(threads) {
  const most = threads ?? Math.min(MOST_THREADS, globalThis.navigator?.hardwareConcurrency ?? 1);
  if (!WebAssembly.validate(RELAXED_SIMD)) return { build: "litert_wasm_compat_internal", threads: 1 };
  if (globalThis.crossOriginIsolated && most > 1) return { build: "litert_wasm_threaded_internal", threads: most };
  return { build: "litert_wasm_internal", threads: 1 };
}

async function fetched(address) {
  let answer;
  try {
    answer = await fetch(address);
  } catch (error) {
    throw new DermError(FETCH, `Cannot fetch ${address}: ${error.message}.`);
  }
  if (!answer.ok) throw new DermError(FETCH, `Cannot fetch ${address}: the server says ${answer.status}.`);
  return answer.arrayBuffer();
}

// Compiled once for a page, however many models it opens. A module is shared with a worker, not copied.
const modules = new Map();

function compiled(address) {
  if (!modules.has(address)) {
    const module = compile(address);
    modules.set(address, module);
    module.catch(() => modules.delete(address));
  }
  return modules.get(address);
}

async function compile(address) {
  const binary = await fetched(address);
  try {
    return await WebAssembly.compile(binary);
  } catch (error) {
    throw new DermError(FETCH, `${address} is no WebAssembly that this browser runs: ${error.message}.`);
  }
}

async function bytesOf(model) {
  const size = model?.size ?? model?.byteLength ?? 0;
  if (size > MAX_MODEL_BYTES) {
    throw new DermError(NO_MEMORY, `The model has ${Math.round(size / 1e6)} MB; it may have ${MAX_MODEL_BYTES / 1e6} MB.`);
  }
  if (model instanceof Uint8Array) return model.slice();
  if (model instanceof ArrayBuffer) return new Uint8Array(model.slice(0));
  if (model instanceof Blob) {
    try {
      return new Uint8Array(await model.arrayBuffer());
    } catch {
      throw new DermError(FETCH, `The file${model.name ? ` '${model.name}'` : ""} cannot be read.`);
    }
  }
  return new Uint8Array(await fetched(model));
}

/**
 * Opens a .derm file, verifies all of it, and loads its graphs. See index.d.ts.
 */
export async function open(model, options = {}) {
  const assets = new URL(options.assets ?? ".", options.assets ? globalThis.location?.href : import.meta.url);
  const at = (name) => new URL(name, assets).href;
  const threads = options.threads;
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1 && threads <= 64)) {
    throw new DermError(ARGUMENT_THREADS, `The number of threads must be from 1 to 64 (${threads})`);
  }
  const prior = pairsOf(options.prior);
  const runtime = runtimeFor(threads);
  const script = at(`litert/${runtime.build}.js`);
  const needed = [bytesOf(model), compiled(at("derm.wasm")), compiled(at(`litert/${runtime.build}.wasm`))];
  const [bytes, core, module] = await Promise.all(needed);
  const begin = (count) => begun(at("worker.js"), { model: bytes, core, litert: { script, module }, threads: count, prior }, runtime.build);
  try {
    return await begin(runtime.threads);
  } catch (error) {
    if (!(error instanceof Late) || runtime.threads === 1) throw error;
    return begin(1); // on a device that is busy beyond measure, threads can wait for each other for ever
  }
}

class Late extends DermError {}

async function begun(script, argument, build) {
  const line = new Line(new Worker(script, { name: "derm" }));
  const { threads } = argument;
  const late = new Late(RUNTIME_LOAD, `The model did not open within ${PATIENCE_MS / 1000} seconds.`);
  const timer = threads > 1 ? setTimeout(() => line.close(late), PATIENCE_MS) : 0;
  try {
    const { stages, ...description } = await line.call("open", argument);
    return new Classifier(line, { ...description, runtime: build, threads }, stages);
  } catch (error) {
    line.close();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

// Calls to the worker, and its answers.
class Line {
  #worker;
  #open = new Map();
  #last = 0;

  constructor(worker) {
    this.#worker = worker;
    worker.onmessage = ({ data: { id, value, error } }) => {
      const call = this.#open.get(id);
      this.#open.delete(id);
      if (error) call?.reject(new DermError(error.status, error.message));
      else call?.resolve(value);
    };
    worker.onerror = (event) => this.close(new DermError(INTERNAL, `The worker stopped: ${event.message ?? "it could not be loaded"}.`));
  }

  call(call, argument, transferred = []) {
    return new Promise((resolve, reject) => {
      if (this.#worker === null) {
        reject(new DermError(ARGUMENT_CLOSED, "The classifier is closed."));
        return;
      }
      const id = ++this.#last;
      this.#open.set(id, { resolve, reject });
      try {
        this.#worker.postMessage({ id, call, argument }, transferred);
      } catch (error) {
        this.#open.delete(id);
        reject(new DermError(PICTURE, `This is no photo: ${error.message}`));
      }
    });
  }

  close(error = new DermError(ARGUMENT_CLOSED, "The classifier is closed.")) {
    this.#worker?.terminate();
    this.#worker = null;
    for (const call of this.#open.values()) call.reject(error);
    this.#open.clear();
  }
}

export class Classifier {
  #line;

  constructor(line, description, stages) {
    this.#line = line;
    this.description = description;
    this.stages = stages;
  }

  async classify(photo, options = {}) {
    const { skinType = 0, routing = "all", explain = false, picture = 0, outputs = false } = options;
    const argument = { photo: photoOf(photo), skinType: skinType ?? 0, routing, explain, picture, outputs };
    const answer = await this.#line.call("classify", argument);
    return { ...answer, result: JSON.parse(answer.json) };
  }

  setPrior(prior) {
    return this.#line.call("setPrior", pairsOf(prior));
  }

  explain(photo, { skinType = 0, node = null } = {}) {
    return this.#line.call("explain", { photo: photoOf(photo), skinType: skinType ?? 0, node });
  }

  prepare(photo, { size = 0, fit = "crop", inputs = ["rgb"], skinType = 0 } = {}) {
    return this.#line.call("prepare", { photo: photoOf(photo), size, fit, inputs, skinType: skinType ?? 0 });
  }

  selftest() {
    return this.#line.call("selftest");
  }

  close() {
    this.#line.close();
  }
}

// A prior as pairs of a node and its share: of an object, a Map, or such pairs.
function pairsOf(prior) {
  const pairs = Symbol.iterator in Object(prior) ? [...prior] : Object.entries(prior ?? {});
  const good = ([node, share]) => typeof node === "string" && !node.includes("\0") && typeof share === "number";
  if (typeof prior === "string" || !pairs.every((pair) => Array.isArray(pair) && good(pair))) {
    throw new DermError(ARGUMENT_PRIOR_EMPTY, 'A prior must name shares of labels, as { malignant: 0.02, benign: 0.98 }.');
  }
  if (prior !== null && prior !== undefined && pairs.length === 0) {
    throw new DermError(ARGUMENT_PRIOR_EMPTY, "A prior must name shares of labels; null takes it away.");
  }
  return pairs;
}

function photoOf(photo) {
  const bitmap = typeof ImageBitmap !== "undefined" && photo instanceof ImageBitmap;
  if (photo instanceof Blob || bitmap) return photo;
  if (photo?.data && photo.width && photo.height) return { data: photo.data, width: photo.width, height: photo.height };
  throw new DermError(PICTURE, "A photo must be a Blob, an ImageBitmap or an ImageData.");
}
