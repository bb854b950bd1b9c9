// The worker: everything that takes time. A classic one, since LiteRT.js loads its script with importScripts.
import { Core } from "./core.js";
import { DermError, INTERNAL } from "./errors.js";
import { Graphs, load, missing } from "./graphs.js";
import { openPhoto } from "./photo.js";

let core = null;
let graphs = null;

class Stopwatch {
  stages = {};
  #last = performance.now();
  lap(stage) {
    const now = performance.now();
    this.stages[stage] = (this.stages[stage] ?? 0) + now - this.#last;
    this.#last = now;
  }
}

async function open({ model, core: module, litert, threads, prior }) {
  const watch = new Stopwatch();
  core = await Core.load(module);
  watch.lap("core");
  const description = core.open(model);
  core.setPrior(prior);
  watch.lap("bundle");
  try {
    await load(litert);
  } catch (error) {
    throw missing(core, error);
  }
  watch.lap("runtime");
  graphs = await Graphs.compile(core, description.graphs, threads);
  watch.lap("graphs");
  for (const graph of description.graphs) delete graph.data;
  return { ...description, stages: watch.stages };
}

async function withPhoto(source, watch, use) {
  const photo = await openPhoto(source);
  watch.lap("decode");
  try {
    return await use(photo);
  } finally {
    photo.close();
  }
}

async function explanation(skinType, node) {
  core.explain(skinType, node);
  await graphs.settle();
  const found = JSON.parse(core.finish());
  return { ...found, heat: Float32Array.from(found.heat) };
}

function classify({ photo: source, skinType, routing, explain, picture, outputs }) {
  const watch = new Stopwatch();
  return withPhoto(source, watch, async (photo) => {
    core.resize(photo);
    core.classify(skinType, routing);
    watch.lap("prepare");
    const stored = await graphs.settle();
    watch.lap("graphs");
    const json = core.finish();
    watch.lap("answer");
    const answer = { json, stages: watch.stages };
    if (outputs) answer.outputs = stored;
    if (explain) {
      answer.explanation = await explanation(skinType, explain === true ? null : explain);
      watch.lap("explain");
    }
    if (picture) {
      answer.picture = await smaller(photo, picture);
      watch.lap("picture");
    }
    return answer;
  });
}

function explain({ photo: source, skinType, node }) {
  return withPhoto(source, new Stopwatch(), (photo) => {
    core.resize(photo);
    return explanation(skinType, node);
  });
}

function prepare({ photo: source, size, fit, inputs, skinType }) {
  return withPhoto(source, new Stopwatch(), (photo) => {
    core.resize(photo, size, fit);
    return Object.fromEntries(inputs.map((kind) => [kind, core.derive(kind, skinType)]));
  });
}

const setPrior = (prior) => core.setPrior(prior);

async function selftest() {
  core.selftest();
  await graphs.settle();
  return JSON.parse(core.finish());
}

// The photo, upright, at most `side` pixels along a side, to be shown.
async function smaller(photo, side) {
  const scale = Math.min(1, side / Math.max(photo.width, photo.height));
  const size = (length) => Math.max(1, Math.round(length * scale));
  const source = photo.bitmap ?? new ImageData(new Uint8ClampedArray(photo.rows(0, photo.height)), photo.width);
  return createImageBitmap(source, { resizeWidth: size(photo.width), resizeHeight: size(photo.height), resizeQuality: "medium" });
}

const calls = { open, setPrior, classify, explain, prepare, selftest };
let turn = Promise.resolve(); // one call after the other: there is one session

async function answer({ id, call, argument }) {
  try {
    const value = await calls[call](argument);
    self.postMessage({ id, value }, value?.picture ? [value.picture] : []);
  } catch (error) {
    const status = error instanceof DermError ? error.status : INTERNAL;
    self.postMessage({ id, error: { status, message: error.message ?? String(error) } });
  }
}

self.onmessage = ({ data }) => {
  turn = turn.then(() => answer(data));
};
