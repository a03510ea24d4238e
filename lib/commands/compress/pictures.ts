// A folder of PNG and JPEG pictures as images of one size, which is what a network takes.
import { readdir } from "node:fs/promises";
import { extname, join, relative, sep } from "node:path";
import { readBytes } from "../../platform/node.ts";
import { checkOneOf } from "../../util/check.ts";
import { nextTurn } from "../../util/turn.ts";

/** How a picture of another shape becomes one of the network's: its middle, or all of it, stretched. */
export const fits = ["crop", "stretch"] as const;
export type Fit = (typeof fits)[number];

/** Height, width and channels of what a network takes. */
export interface Size {
  height: number;
  width: number;
  channels: number;
}

/** Pixels in memory: bytes, row-major, 1 or 3 channels. */
interface Picture extends Size {
  pixels: Uint8Array;
}

const endings = [".png", ".jpg", ".jpeg"];

/** The pictures below a folder, in the order of their paths, hidden files and folders left out. */
export async function findPictures(folder: string): Promise<{ path: string; folder: string }[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(
    (error: NodeJS.ErrnoException) => {
      throw new Error(`--images must be a folder of pictures, got ${folder}: ${error.code}`, {
        cause: error,
      });
    },
  );
  const paths = entries
    .filter((entry) => entry.isFile() && endings.includes(extname(entry.name).toLowerCase()))
    .map(({ parentPath, name }) => relative(folder, join(parentPath, name)))
    .filter((path) => !path.split(sep).some((part) => part.startsWith(".")))
    .sort();
  if (paths.length === 0)
    throw new Error(`--images must be a folder with ${endings.join(", ")} files, ${folder} has none`);
  return paths.map((path) => ({
    path: join(folder, path),
    folder: path.includes(sep) ? path.slice(0, path.indexOf(sep)) : "",
  }));
}

/**
 * Reads pictures as bytes of the size that is asked for, one after the other.
 *
 * @param onPicture told how many are read
 * @throws Error that names the file which cannot be read
 */
export async function readPictures(
  paths: readonly string[],
  size: Size,
  {
    fit = "crop",
    signal,
    onPicture,
  }: { fit?: Fit; signal?: AbortSignal; onPicture?: (done: number) => void } = {},
): Promise<Uint8Array> {
  checkOneOf("--fit", fit, fits);
  const { height, width, channels } = size;
  if (channels !== 1 && channels !== 3)
    throw new Error(
      `--images needs a network that takes pictures of 1 or 3 channels, this one takes ${channels}: use --data`,
    );
  const pixels = height * width * channels;
  const all = new Uint8Array(paths.length * pixels);
  for (const [i, path] of paths.entries()) {
    signal?.throwIfAborted();
    let picture: Picture;
    try {
      picture = await decode(await readBytes(path));
    } catch (error) {
      throw new Error(`${path} cannot be read as a picture: ${(error as Error).message}`, { cause: error });
    }
    all.set(resized(withChannels(picture, channels), height, width, fit), i * pixels);
    onPicture?.(i + 1);
    await nextTurn();
  }
  return all;
}

/** PNG or JPEG, told apart by the first bytes: names of pictures often lie. */
async function decode(bytes: Uint8Array): Promise<Picture> {
  if (bytes[0] === 0xff && bytes[1] === 0xd8) {
    const { default: jpeg } = await import("jpeg-js");
    const { width, height, data } = jpeg.decode(bytes, {
      useTArray: true,
      formatAsRGBA: false,
      maxMemoryUsageInMB: 1024,
    });
    return { width, height, channels: 3, pixels: data };
  }
  const png = await import("fast-png");
  if (!png.hasPngSignature(bytes)) throw new Error("it is neither PNG nor JPEG");
  const decoded = png.decode(bytes, { checkCrc: true });
  const { width, height, depth } = decoded;
  if (decoded.palette) {
    const data = Uint8Array.from(png.convertIndexedToRgb(decoded));
    return { width, height, channels: decoded.palette[0].length, pixels: data };
  }
  // Everything in bytes: 16 bits lose their lower half, 1 to 4, which come packed, are spread.
  const samples = depth < 8 ? unpacked(decoded.data, height, width, depth) : decoded.data;
  const factor = 255 / (2 ** depth - 1);
  const pixels = new Uint8Array(samples.length);
  for (let i = 0; i < pixels.length; i++) pixels[i] = Math.round(samples[i] * factor);
  return { width, height, channels: decoded.channels, pixels };
}

/** Grey values of 1, 2 or 4 bits, each line padded to whole bytes. */
function unpacked(data: ArrayLike<number>, height: number, width: number, depth: number): Uint8Array {
  const result = new Uint8Array(height * width);
  const line = Math.ceil((width * depth) / 8);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const bit = x * depth;
      const byte = data[y * line + (bit >> 3)];
      result[y * width + x] = (byte >> (8 - depth - (bit & 7))) & (2 ** depth - 1);
    }
  return result;
}

/** Grey or RGB; transparency goes, as it does in what networks are trained on. */
function withChannels({ width, height, channels, pixels }: Picture, wanted: number): Picture {
  if (channels === wanted) return { width, height, channels, pixels };
  const grey = channels <= 2;
  const result = new Uint8Array(width * height * wanted);
  for (let i = 0; i < width * height; i++) {
    const from = i * channels;
    const [r, g, b] = grey
      ? [pixels[from], pixels[from], pixels[from]]
      : [pixels[from], pixels[from + 1], pixels[from + 2]];
    // ITU-R BT.601, as Pillow turns colours into grey.
    if (wanted === 1) result[i] = grey ? r : Math.round(0.299 * r + 0.587 * g + 0.114 * b);
    else result.set([r, g, b], 3 * i);
  }
  return { width, height, channels: wanted, pixels: result };
}

/** Another size: each pixel is a mean over the place that it comes from, weighed as a triangle (Pillow's BILINEAR). */
function resized(
  { width, height, channels, pixels }: Picture,
  high: number,
  wide: number,
  fit: Fit,
): Uint8Array {
  let [top, left, tall, broad] = [0, 0, height, width];
  if (fit === "crop") {
    const scale = Math.min(height / high, width / wide);
    [tall, broad] = [scale * high, scale * wide];
    [top, left] = [(height - tall) / 2, (width - broad) / 2];
  }
  const across = tapsOf(wide, broad, left, width);
  const down = tapsOf(high, tall, top, height);
  const rows = new Float32Array(height * wide * channels);
  for (let y = 0; y < height; y++)
    for (const [x, { from, weights }] of across.entries())
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let k = 0; k < weights.length; k++)
          sum += weights[k] * pixels[(y * width + from + k) * channels + c];
        rows[(y * wide + x) * channels + c] = sum;
      }
  const result = new Uint8Array(high * wide * channels);
  const line = wide * channels;
  for (const [y, { from, weights }] of down.entries())
    for (let at = 0; at < line; at++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k] * rows[(from + k) * line + at];
      result[y * line + at] = Math.min(255, Math.max(0, Math.round(sum)));
    }
  return result;
}

/** Which pixels each new pixel is the mean of, and with which weights; they add up to 1. */
function tapsOf(count: number, span: number, start: number, limit: number) {
  const scale = span / count;
  const reach = Math.max(1, scale);
  return Array.from({ length: count }, (_, i) => {
    const centre = start + (i + 0.5) * scale;
    const from = Math.max(0, Math.floor(centre - reach + 0.5));
    const to = Math.min(limit, Math.floor(centre + reach + 0.5));
    const weights: number[] = [];
    for (let p = from; p < to; p++) weights.push(Math.max(0, 1 - Math.abs(p + 0.5 - centre) / reach));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { from, weights: weights.map((weight) => weight / sum) };
  });
}
