// LiteRT.js, which runs a model's graphs: what litert.cpp is elsewhere.
import { Tensor, loadAndCompile, loadLiteRt } from "@litertjs/core";

import { BUNDLE_NO_SIGNATURE, BUNDLE_TENSORS, RUNTIME_LOAD, RUNTIME_MISSING, RUNTIME_RUN } from "./errors.js";

/**
 * Loads LiteRT.js in a classic worker.
 * @param {{script: string, module: WebAssembly.Module}} build the address of one of its scripts, and the module that belongs to it
 */
export async function load({ script, module }) {
  const instantiateWasm = (imports, done) => {
    WebAssembly.instantiate(module, imports).then((instance) => done(instance, module));
    return {};
  };
  const printErr = (line) => line.startsWith("ERROR") && console.error(line); // else it tells its whole life
  self.Module = { instantiateWasm, mainScriptUrlOrBlob: script, print() {}, printErr };
  const warn = console.warn;
  console.warn = () => {}; // it would like a GPU, which is not used
  try {
    await loadLiteRt(script);
  } finally {
    console.warn = warn;
  }
}

export class Graphs {
  #core;
  #described;
  #compiled = [];

  /** Compiles every graph of a description, and runs it once. Throws what derm_open throws about them. */
  static async compile(core, described, threads) {
    const graphs = new Graphs();
    graphs.#core = core;
    graphs.#described = described;
    for (const graph of described) {
      let compiled;
      try {
        compiled = await loadAndCompile(core.graphBytes(graph), { accelerator: "wasm", cpuOptions: { numThreads: threads } });
      } catch (error) {
        throw core.error(RUNTIME_LOAD, `${graph.id}: ${error.message ?? error}`);
      }
      graphs.#compiled.push(compiled);
      graphs.#checkTensors(graph, graphs.#signature(compiled, graph, false), graph.output, true);
      // LiteRT makes its threads in the first run, and loads a script for each: now, not when a photo comes.
      await graphs.#run(graph, compiled, false, (tensor) => new Uint8Array(tensor.bytes));
    }
    return graphs;
  }

  /** Runs what the core says is due, until nothing is. Gives what each graph stored, by its id. */
  async settle() {
    const outputs = {};
    for (let due = this.#core.due(); due !== null; due = this.#core.due()) {
      const graph = this.#described[due.graph];
      const input = (tensor) => this.#core.input(tensor).slice();
      const stored = await this.#run(graph, this.#compiled[due.graph], due.evidence, input);
      this.#core.take(stored);
      outputs[graph.id] = stored;
    }
    return outputs;
  }

  #signature(compiled, graph, evidence) {
    const signatures = Object.values(compiled.signatures ?? {});
    if (!graph.evidence) return signatures.length === 1 ? signatures[0] : compiled;
    const found = signatures.find((each) => each.key === (evidence ? "explain" : "classify"));
    if (!found) throw this.#core.error(evidence ? BUNDLE_NO_SIGNATURE : RUNTIME_LOAD, graph.id);
    return found;
  }

  // The scale and zero point of a tensor are not to be had from LiteRT.js: the digests in the manifest vouch for them.
  #checkTensors(graph, signature, output, everyInput) {
    const same = (tensor, found) =>
      found !== undefined && found.dtype === tensor.dtype && [...found.shape].join() === tensor.shape.join();
    const inputs = signature.getInputDetails();
    const outputs = signature.getOutputDetails();
    const counted = everyInput ? inputs.length === graph.inputs.length : inputs.length <= graph.inputs.length;
    if (!counted || outputs.length !== 1) throw this.#core.error(BUNDLE_TENSORS, `${graph.id}: their number`);
    for (const found of inputs) {
      const tensor = graph.inputs.find((each) => each.name === found.name);
      if (!tensor || !same(tensor, found)) throw this.#core.error(BUNDLE_TENSORS, `${graph.id}: ${found.name}`);
    }
    if (outputs[0].name !== output.name || !same(output, outputs[0])) {
      throw this.#core.error(BUNDLE_TENSORS, `${graph.id}: ${outputs[0].name}`);
    }
  }

  // Tensors are deleted by hand: they lie in LiteRT's memory, which nobody collects.
  async #run(graph, compiled, evidence, input) {
    const signature = this.#signature(compiled, graph, evidence);
    const output = evidence ? graph.evidence : graph.output;
    if (evidence) this.#checkTensors(graph, signature, output, false);
    const given = {};
    let made = {};
    try {
      for (const { name } of signature.getInputDetails()) {
        const tensor = graph.inputs.find((each) => each.name === name);
        given[name] = new Tensor(input(tensor), tensor.shape);
      }
      made = await signature.run(given);
      return made[output.name].toTypedArray().slice();
    } catch (error) {
      throw this.#core.error(RUNTIME_RUN, `${graph.id}: ${error.message ?? error}`);
    } finally {
      for (const tensor of [...Object.values(given), ...Object.values(made)]) tensor.delete();
    }
  }

  delete() {
    for (const each of this.#compiled) each.delete();
  }
}

/** The error of a LiteRT.js that does not load. */
export function missing(core, error) {
  return core.error(RUNTIME_MISSING, error.message ?? String(error));
}
