// What can go wrong: the numbers of derm.h, and two of a browser's own.

/** The picture: a file that is no photo, or that this browser cannot decode. */
export const PICTURE = 200;
/** A file that cannot be fetched. */
export const FETCH = 300;
export const ARGUMENT_THREADS = 103;
export const ARGUMENT_CLOSED = 112;
export const ARGUMENT_PRIOR_EMPTY = 114;
export const IMAGE_SIZE = 202;
export const BUNDLE_TENSORS = 481;
export const BUNDLE_NO_SIGNATURE = 482;
export const RUNTIME_MISSING = 501;
export const RUNTIME_LOAD = 503;
export const RUNTIME_RUN = 504;
export const NO_MEMORY = 601;
export const INTERNAL = 602;

/** One sentence: what is wrong, with which value, what would be right. `status`: a number of derm.h, or one of the above. */
export class DermError extends Error {
  constructor(status, message) {
    super(message);
    this.name = "DermError";
    this.status = status;
  }
}
