// A heat map in the colours of derm_sdk/heat.py ("inferno"), laid over the photo by the page.
const INFERNO = [
  [0.0004, -0.0113, 0.0196], [0.1195, 1.3228, 0.7676], [11.3998, -14.3182, 29.6916], [-40.5123, 75.4552, -212.4104],
  [73.9996, -193.4416, 627.0707], [-66.961, 263.3877, -949.5274], [22.1276, -179.0641, 716.2761], [0.802, 47.6763, -211.2568],
];
const OPACITY = 0.65;
const SIDE = 160; // of the picture: the map itself has 5 to 10 cells along a side

const COLOURS = Array.from({ length: 256 }, (_, i) => [0, 1, 2].map((channel) => {
  const value = INFERNO.reduce((sum, row, power) => sum + row[channel] * (i / 255) ** power, 0);
  return Math.round(Math.min(Math.max(value, 0), 1) * 255);
}));

// The two cells around each place of an axis, and how far it is from the first to the second.
function between(cells) {
  return Array.from({ length: SIDE }, (_, i) => {
    const at = Math.min(Math.max(((i + 0.5) / SIDE) * cells - 0.5, 0), cells - 1);
    const first = Math.floor(at);
    return [first, Math.min(first + 1, cells - 1), at - first];
  });
}

/** Draws an explanation on a canvas and puts it over the photo, whose element has the photo's shape. */
export function drawHeat(canvas, { rows, columns, heat, frame, photo_size: size }) {
  const down = between(rows);
  const across = between(columns);
  const image = new ImageData(SIDE, SIDE);
  let out = 0;
  for (const [top, bottom, y] of down) {
    for (const [left, right, x] of across) {
      const line = (row) => heat[row * columns + left] * (1 - x) + heat[row * columns + right] * x;
      const level = line(top) * (1 - y) + line(bottom) * y;
      image.data.set(COLOURS[Math.round(level * 255)], out);
      image.data[out + 3] = Math.round(OPACITY * level * 255);
      out += 4;
    }
  }
  canvas.width = canvas.height = SIDE;
  canvas.getContext("2d").putImageData(image, 0, 0);
  const [left, top, width, height] = frame;
  const percent = (part, whole) => `${(100 * part) / whole}%`;
  Object.assign(canvas.style, {
    left: percent(left, size[0]), top: percent(top, size[1]), width: percent(width, size[0]), height: percent(height, size[1]),
  });
}
