// A photo as rows of RGBA. Files are judged by their first bytes before the browser decodes anything of them: a small file may
// say that it has more pixels than there is memory.
import { DermError, IMAGE_SIZE, PICTURE } from "./errors.js";

export const MAX_FILE_BYTES = 100_000_000;
const MAX_SIDE = 65_535;
const MAX_PIXELS = 100_000_000;
const STRIP_ROWS = 128;
const MAX_SEGMENTS = 4096; // of a JPEG, in front of its frame

const KINDS = [
  ["JPEG", (b) => b[0] === 0xff && b[1] === 0xd8 && b[2] === 0xff],
  ["PNG", (b) => [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a].every((value, i) => b[i] === value)],
  ["BMP", (b) => b[0] === 0x42 && b[1] === 0x4d],
  ["WebP", (b) => text(b, 0, 4) === "RIFF" && text(b, 8, 15) === "WEBPVP8" && " LX".includes(text(b, 15, 16) || "?")],
];

const text = (bytes, start, end) => String.fromCharCode(...bytes.subarray(start, end));

/**
 * The photo in a Blob, an ImageBitmap or an ImageData ({ data: RGBA, width, height }).
 * @returns {Promise<{width: number, height: number, rows: (first: number, count: number) => Uint8Array, close: () => void}>}
 */
export async function openPhoto(source) {
  if (source instanceof Blob) return fromBitmap(await decode(source), true);
  if (typeof ImageBitmap !== "undefined" && source instanceof ImageBitmap) return fromBitmap(source, false);
  return fromPixels(source);
}

function fromPixels({ data, width, height }) {
  checkSize(width, height);
  if (data.length !== width * height * 4) {
    throw new DermError(PICTURE, `Pixels must be RGBA, ${width * height * 4} bytes for ${width} x ${height}; got ${data.length}.`);
  }
  const rows = (first, count) => data.subarray(first * width * 4, (first + count) * width * 4);
  return { width, height, rows, close() {} };
}

// Strips of the bitmap through one small canvas: the photo is never copied as a whole.
function fromBitmap(bitmap, own) {
  const { width, height } = bitmap;
  checkSize(width, height);
  const canvas = new OffscreenCanvas(width, Math.min(height, STRIP_ROWS));
  const context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
  context.globalCompositeOperation = "copy";
  context.imageSmoothingEnabled = false;
  let start = 0;
  let strip = null;
  const rows = (first, count) => {
    if (strip === null || first < start || first + count > start + canvas.height) {
      start = Math.min(first, height - canvas.height);
      context.drawImage(bitmap, 0, start, width, canvas.height, 0, 0, width, canvas.height);
      strip = context.getImageData(0, 0, width, canvas.height).data;
    }
    return strip.subarray((first - start) * width * 4, (first - start + count) * width * 4);
  };
  return { width, height, rows, bitmap, close: () => own && bitmap.close() };
}

/** Upright, with the stored numbers taken as they are: docs/preprocessing.md, "Decoding". */
async function decode(blob) {
  await checkFile(blob);
  try {
    return await createImageBitmap(blob, { imageOrientation: "from-image", colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    throw new DermError(PICTURE, `The photo${named(blob)} cannot be decoded: it is damaged, or this browser does not read its kind.`);
  }
}

async function checkFile(blob) {
  if (blob.size > MAX_FILE_BYTES) {
    throw new DermError(PICTURE, `The file${named(blob)} has ${Math.round(blob.size / 1e6)} MB; a photo may have ${MAX_FILE_BYTES / 1e6} MB.`);
  }
  const read = async (start, length) => {
    try {
      return new Uint8Array(await blob.slice(start, start + length).arrayBuffer());
    } catch {
      throw new DermError(PICTURE, `The file${named(blob)} cannot be read.`);
    }
  };
  const head = await read(0, 64);
  const kind = KINDS.find(([, matches]) => matches(head))?.[0];
  if (!kind) throw new DermError(PICTURE, `No photo in the file${named(blob)}: it must be a JPEG, PNG, WebP or BMP file.`);
  const size = await SIZES[kind](head, read);
  if (size) checkSize(size[0], size[1]);
}

const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

// What a file says of its size, or null where it ends too early to say so: then it cannot be decoded either.
const SIZES = {
  PNG: (b) => (b.length < 24 ? null : [view(b).getUint32(16), view(b).getUint32(20)]),
  BMP: (b) => {
    if (b.length < 26) return null;
    if (view(b).getUint32(14, true) === 12) return [view(b).getUint16(18, true), view(b).getUint16(20, true)];
    return [Math.abs(view(b).getInt32(18, true)), Math.abs(view(b).getInt32(22, true))];
  },
  WebP: (b) => {
    if (b.length < 30) return null;
    const three = (at) => b[at] | (b[at + 1] << 8) | (b[at + 2] << 16);
    const kind = text(b, 15, 16);
    if (kind === "X") return [three(24) + 1, three(27) + 1];
    if (kind === " ") return [view(b).getUint16(26, true) & 0x3fff, view(b).getUint16(28, true) & 0x3fff];
    const bits = view(b).getUint32(21, true);
    return [(bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1];
  },
  JPEG: async (_, read) => {
    let at = 2;
    for (let count = 0; count < MAX_SEGMENTS; ++count) {
      const b = await read(at, 9);
      if (b.length < 9 || b[0] !== 0xff) return null;
      const frame = b[1] >= 0xc0 && b[1] <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(b[1]);
      if (frame) return [view(b).getUint16(7), view(b).getUint16(5)];
      const bare = b[1] === 0xff || b[1] === 0x01 || (b[1] >= 0xd0 && b[1] <= 0xd8);
      at += b[1] === 0xff ? 1 : bare ? 2 : 2 + view(b).getUint16(2);
    }
    return null;
  },
};

function checkSize(width, height) {
  if (!(width >= 1 && height >= 1 && width <= MAX_SIDE && height <= MAX_SIDE && width * height <= MAX_PIXELS)) {
    throw new DermError(IMAGE_SIZE, `A photo has 1 to 65535 pixels along a side and at most 100 million in all; got ${width} x ${height}.`);
  }
}

const named = (blob) => (blob.name ? ` '${blob.name}'` : "");
