// The kernel's icon, drawn by code: bars that get slimmer on TypeScript's blue, as SVG and as PNG.
import { encodePng } from "../util/png.ts";

interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
  radius: number;
  fill: [red: number, green: number, blue: number];
}

/** On a square of 64 by 64. */
const boxes: Box[] = [
  { x: 0, y: 0, width: 64, height: 64, radius: 10, fill: [49, 120, 198] },
  { x: 11, y: 12, width: 16, height: 40, radius: 2, fill: [255, 255, 255] },
  { x: 32, y: 22, width: 11, height: 30, radius: 2, fill: [255, 255, 255] },
  { x: 48, y: 34, width: 6, height: 18, radius: 2, fill: [255, 202, 40] },
];

export function iconSvg(): string {
  const shapes = boxes.map(
    ({ x, y, width, height, radius, fill }) =>
      `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="${radius}" fill="rgb(${fill.join()})"/>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">${shapes.join("")}</svg>\n`;
}

/** The icon as a PNG of `size` by `size` pixels. */
export function iconPng(size: number): Buffer {
  const samples = 4;
  const pixels = new Uint8Array(4 * size * size);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      // The mean of 16 samples, with colours weighted by opacity, makes smooth edges.
      const sum = [0, 0, 0, 0];
      for (let i = 0; i < samples * samples; i++) {
        const px = ((x + ((i % samples) + 0.5) / samples) * 64) / size;
        const py = ((y + (Math.floor(i / samples) + 0.5) / samples) * 64) / size;
        const box = boxes.findLast((one) => isInside(one, px, py));
        if (!box) continue;
        for (let c = 0; c < 3; c++) sum[c] += box.fill[c];
        sum[3]++;
      }
      const at = 4 * (y * size + x);
      for (let c = 0; c < 3; c++) pixels[at + c] = sum[3] === 0 ? 0 : Math.round(sum[c] / sum[3]);
      pixels[at + 3] = Math.round((255 * sum[3]) / (samples * samples));
    }
  }
  return Buffer.from(encodePng(size, size, pixels));
}

function isInside({ x, y, width, height, radius }: Box, px: number, py: number): boolean {
  if (px < x || py < y || px > x + width || py > y + height) return false;
  const dx = Math.max(x + radius - px, px - (x + width - radius), 0);
  const dy = Math.max(y + radius - py, py - (y + height - radius), 0);
  return dx * dx + dy * dy <= radius * radius;
}
