// Figures that compute in the page while they are moved: which there are, and the network and digits that they compute with.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { deflateRaw, toBase64 } from "#platform";
import { type LongRun, loadDataset, longRunFolder, type Split, subset } from "../datasets/index.ts";
import { packageRoot } from "../util/files.ts";
import { toHalves } from "../util/half.ts";
import { elements } from "../util/shape.ts";
import type { LiveData, PackedImages } from "./client/live/network.ts";

/** The figures. A code cell tagged `live-NAME` gets one below its outputs, where the page's script runs. */
export const liveFigures = [
  "prune",
  "quantize",
  "rank",
  "temperature",
  "neurons",
  "activations",
  "together",
  "layers",
  "schedule",
  "decoder",
  "tradeoff",
  "filters",
  "tucker",
  "garments",
  "budget",
  "file",
  "families",
  "draw",
] as const;
export type LiveFigure = (typeof liveFigures)[number];

/**
 * The figure that a cell's tags ask for.
 * @throws RangeError that names a figure that there is not
 */
export function liveFigureOf(tags: unknown): LiveFigure | undefined {
  const found = (Array.isArray(tags) ? tags : []).find((tag) => /^live-/.test(String(tag)));
  if (found === undefined) return undefined;
  const name = String(found).slice("live-".length);
  if (!(liveFigures as readonly string[]).includes(name))
    throw new RangeError(`there is no live figure ${name}; there are ${liveFigures.join(", ")}`);
  return name as LiveFigure;
}

/** How many validation images the page judges by: as many as a page computes while a slider moves. */
const digitCount = 200;
const garmentCount = 100; // convolutions take longer

/** Weights that ship, in float16, with which LeNet-300-100 gets the same digits right. */
async function weightsOf(network: string): Promise<LiveData["tensors"]> {
  const folder = join(packageRoot, "datasets", "weights", network);
  const { weightsManifest } = JSON.parse(await readFile(join(folder, "model.json"), "utf8")) as {
    weightsManifest: { weights: { name: string; shape: number[] }[] }[];
  };
  const bytes = await readFile(join(folder, "weights.bin"));
  const floats = new Float32Array(new Uint8Array(bytes).buffer);
  let from = 0;
  return weightsManifest
    .flatMap(({ weights }) => weights)
    .map(({ name, shape }) => {
      const size = elements(shape);
      const values = toHalves(floats.slice(from, from + size));
      from += size;
      return { name, shape, halves: toBase64(new Uint8Array(values.buffer)) };
    });
}

function packed({ images, labels }: Split): PackedImages {
  return { pixels: toBase64(deflateRaw(Uint8Array.from(images))), labels: Array.from(labels) };
}

/** LeNet-300-100, the convolutions of LeNet-5, validation images, and the files of chapters 4.1 and 4.3. */
export async function liveData(): Promise<LiveData> {
  const tensors = await weightsOf("lenet-300-100");
  const kernels = (await weightsOf("lenet-5")).filter(({ name }) => /^conv\d\/kernel$/.test(name));
  const digits = await loadDataset("mnist-10k");
  const clothes = await loadDataset("fashion-10k");
  const { result } = JSON.parse(await readFile(join(longRunFolder, "4.1-recipe.json"), "utf8")) as LongRun<{
    slim: string;
  }>;
  const record = await readFile(
    join(packageRoot, "datasets", "records", "compact-lenet-300-100", "seed-1.slim"),
  );
  return {
    tensors,
    kernels,
    digits: packed(subset(digits.validation, digitCount, 1)),
    garments: packed(subset(clothes.validation, garmentCount, 1)),
    recipe: result.slim,
    record: toBase64(record),
  };
}
