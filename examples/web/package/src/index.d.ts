// derm-sdk-web: photos of skin classified in the browser. A research tool, not a medical device.
//
//     import { open } from "derm-sdk-web";
//     const classifier = await open("/skin.derm");
//     const { result } = await classifier.classify(file, { skinType: 4 });
//     result.answer; result.refer; result.levels.condition.slice(0, 3);

/** A file (JPEG, PNG, WebP, BMP), a picture, or pixels: { data: RGBA, width, height }. */
export type Photo = Blob | ImageBitmap | ImageData | { data: Uint8Array | Uint8ClampedArray; width: number; height: number };

/** Of Fitzpatrick's scale; 0, null or nothing when it is unknown. */
export type SkinType = 0 | 1 | 2 | 3 | 4 | 5 | 6 | null;
export type Routing = "all" | "lazy" | "top";
export type Kind = "rgb" | "gray" | "equalized" | "otsu" | "stretched" | "skin_type";

/** One sentence. `status`: a number of derm.h; 200 a photo that cannot be read, 300 a file that cannot be fetched. */
export class DermError extends Error {
  readonly status: number;
}

/**
 * How common the labels are where the photos come from: shares of nodes, named by id or name, each from 1e-12 to 1; docs/result.md,
 * "A prior". Results are adjusted to it; explanations are not.
 */
export type Prior = Record<string, number> | Iterable<readonly [string, number]>;

export interface OpenOptions {
  /** The training's own shares unless given. */
  prior?: Prior | null;
  /** That a graph may use, 1 to 64; 4 or the processor's unless given. 1 where the page is not crossOriginIsolated. */
  threads?: number;
  /** Where worker.js, derm.wasm and litert/ lie, on the page's origin; beside the module unless given. */
  assets?: string | URL;
}

/**
 * Opens a .derm file, verifies all of it, and loads its graphs.
 * @param model its bytes, or its address
 * @throws DermError with the number that derm_open gives: 4xx the file, 5xx LiteRT.js
 */
export function open(model: Uint8Array | ArrayBuffer | Blob | string | URL, options?: OpenOptions): Promise<Classifier>;

/** Which build of LiteRT.js, out of litert/, a page can run, and with how many threads. */
export function runtimeFor(threads?: number): { build: string; threads: number };

export interface Tensor { name: string; kind: string; shape: number[]; dtype: "uint8" | "float32"; bytes: number }
export interface Description {
  id: string; name: string; version: string; digest: string; kind: string; licence: string; intended_use: string; fit: string;
  /** Side of the square inputs in pixels. */
  size: number;
  size_bytes: number;
  takes_skin_type: boolean;
  explains: boolean;
  levels: string[];
  nodes: { id: string; name: string; level: string; parent: string | null }[];
  warnings: string[];
  graphs: { id: string; bytes: number; inputs: Tensor[]; output: Tensor; evidence: Tensor | null }[];
  /** Which build of LiteRT.js runs the graphs, with how many threads. */
  runtime: string;
  threads: number;
}

/** A node of a level; `parent` is null on the top level. */
export interface Prediction { id: string; name: string; probability: number; parent: string | null }
/** docs/result.md, "Schema version 1". */
export interface Result {
  schema: 1;
  model: { id: string; version: string; digest: string };
  fitzpatrick: number | null;
  prior: Record<string, number> | null;
  answer: string | null;
  refer: boolean;
  reasons: string[];
  quality: { problems: string[]; measures: Record<string, number> };
  coverage: number;
  prediction_sets: Record<string, string[]>;
  routing: Routing;
  skipped: string[];
  warnings: string[];
  levels: Record<string, Prediction[]>;
}

/** Where a graph found evidence for a node, over the square that it sees. docs/explain.md says what it shows. */
export interface Explanation {
  node: string; probability: number; graph: string;
  rows: number; columns: number;
  /** rows * columns, 0 to 1. */
  heat: Float32Array;
  /** Left, top, width, height of that square on the upright photo; left and top are below 0 where there is a border. */
  frame: [number, number, number, number];
  photo_size: [number, number];
  /** x, y of the strongest place; null where nothing speaks for the node. */
  peak: [number, number] | null;
  /** Left, top, right, bottom of the region around it, the last two just behind it. */
  box: [number, number, number, number] | null;
}

export interface ClassifyOptions {
  skinType?: SkinType;
  routing?: Routing;
  /** Explains a node too, by its id or name; true: the answer. */
  explain?: boolean | string;
  /** Gives the photo, upright, too, at most so many pixels along a side: to be shown without decoding it again. */
  picture?: number;
  /** Gives what the graphs stored, too. */
  outputs?: boolean;
}
export interface Answer {
  result: Result;
  /** The same as text: byte for byte what Python's Result.to_json() gives for the same pixels. */
  json: string;
  /** Milliseconds: decode, prepare, graphs, answer; explain and picture where they were asked for. */
  stages: Record<string, number>;
  explanation?: Explanation;
  picture?: ImageBitmap;
  outputs?: Record<string, Uint8Array | Float32Array>;
}

export interface Stage { identical: number; close: number; different: number }
export interface SelfTest { inputs: Stage; outputs: Stage; probabilities: Stage; whole_way: Stage; note: string }

export class Classifier {
  readonly description: Description;
  /** Milliseconds of opening: core, bundle, runtime, graphs. */
  readonly stages: Record<string, number>;
  classify(photo: Photo, options?: ClassifyOptions): Promise<Answer>;
  /**
   * The prior of what is classified from now on; null for the training's own shares. With one, every graph is run.
   * @throws DermError 105, 114 to 121, and keeps the prior there was; classify with routing "top" is refused with 122
   */
  setPrior(prior: Prior | null): Promise<void>;
  /** `node`: an id or a name; the answer unless given. */
  explain(photo: Photo, options?: { skinType?: SkinType; node?: string | null }): Promise<Explanation>;
  /** The inputs of networks, as derm_sdk.prepare makes them; without a size, as the model takes its photos. */
  prepare(photo: Photo, options?: { size?: number; fit?: "stretch" | "crop" | "pad"; inputs?: Kind[]; skinType?: SkinType }):
    Promise<Record<string, Uint8Array>>;
  /** The drawn pictures in the bundle, on this device: docs/selftest.md. */
  selftest(): Promise<SelfTest>;
  /** Ends the worker; calls that are open, and all later ones, are refused with DERM_ARGUMENT_CLOSED. */
  close(): void;
}
