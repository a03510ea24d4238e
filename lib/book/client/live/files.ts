// Live figures of .slim files: decoded in the page, changed, run, and coded again by slimlab's own coder.
import {
  type Coding,
  decodeSlim,
  encodeSlim,
  type SlimModel,
  type SlimTensor,
  slimParts,
  slimWeights,
} from "../../../coding/index.ts";
import { applyMasks } from "../../../pruning/mask.ts";
import { globalSparsity } from "../../../pruning/strategies.ts";
import { magnitude } from "../../../pruning/weight-scores.ts";
import { clusterWeights } from "../../../quantization/codebook.ts";
import { bestStep, quantizeToSteps } from "../../../quantization/learned-steps.ts";
import { type StoredNetwork, storedNetwork } from "../../../runtime/index.ts";
import { joinFloats } from "../../../util/join.ts";
import { make } from "../dom.ts";
import type { Stage } from "./knobs.ts";
import { lenet5 } from "./lenet5.ts";
import { answerOf, type Digits, networkOfSlim, rightOf } from "./network.ts";
import { Bars, choice, Frame, Picture, shareSlider, slider } from "./parts.ts";

const layerOf = (tensor: string) => tensor.split("/")[0];
const isKernel = (tensor: string) => tensor.endsWith("/kernel");

/** Masks that keep a share of the weights that are not zero, the largest of all tensors. */
function largestOf(weights: Readonly<Record<string, Float32Array>>, share: number) {
  const all = joinFloats(Object.values(weights));
  const left = all.reduce((sum, w) => sum + Number(w !== 0), 0);
  const scores = Object.fromEntries(Object.entries(weights).map(([name, w]) => [name, magnitude(w)]));
  return globalSparsity(scores, 1 - (share * left) / all.length);
}

// --- Chapter 4.3: where the bytes of the record are ------------------------------------------------------------------

/** How the record's file is written. */
export const codecs = ["version 2", "range", "huffman", "packed"] as const;
export type Codec = (typeof codecs)[number];

/** The greatest level of the record's weights: ±1 … ±4. */
export const mostLevel = 4;

/**
 * The record with fewer of its weights, on fewer levels (§4.3).
 *
 * @param share of the kept weights that stay, the largest of all layers
 * @param most the greatest level; at 4, and with all weights, nothing changes
 */
export function fewerOf(record: SlimModel, share: number, most: number): SlimModel {
  if (share === 1 && most === mostLevel) return record;
  const kernels = Object.fromEntries(Object.entries(slimWeights(record)).filter(([name]) => isKernel(name)));
  const masks = largestOf(kernels, share);
  const weights = applyMasks(kernels, masks);
  const tensors = Object.entries(record.tensors).map(([name, tensor]): [string, SlimTensor] => {
    if (!isKernel(name) || tensor.kind !== "quantized") return [name, tensor];
    const mask = masks[name];
    const step = most === mostLevel ? tensor.quantized.scale[0] : bestStep(weights[name], most, mask);
    const { shape } = tensor.quantized;
    return [
      name,
      { kind: "quantized", quantized: quantizeToSteps(weights[name], step, most, [...shape], mask) },
    ];
  });
  return { ...record, tensors: Object.fromEntries(tensors) };
}

/** A model as a file, in one of four ways. */
export function written(model: SlimModel, codec: Codec): Uint8Array {
  return encodeSlim(model, codec === "version 2" ? { version: 2 } : { version: 1, coding: codec as Coding });
}

/** What the parts of a file are for. */
export const fileParts = ["header", "positions", "values", "biases"] as const;

/** Bytes by layer and by what they are for; their sum is the file. */
export function bytesByPart(
  file: Uint8Array,
): { layer: string; part: (typeof fileParts)[number]; bytes: number }[] {
  const found = new Map<string, ReturnType<typeof bytesByPart>[number]>();
  for (const { tensor, stream, bytes } of slimParts(file)) {
    const isHeader = tensor === "" || stream === "grid" || stream === "scale";
    const part = isHeader
      ? "header"
      : !isKernel(tensor)
        ? "biases"
        : stream === "positions"
          ? stream
          : "values";
    const layer = part === "positions" || part === "values" ? layerOf(tensor) : "";
    const key = `${layer} ${part}`;
    const one = found.get(key) ?? { layer, part, bytes: 0 };
    one.bytes += bytes;
    found.set(key, one);
  }
  // What is no layer's own comes first.
  return [...found.values()].sort((a, b) => Number(a.layer !== "") - Number(b.layer !== ""));
}

export function fileFigure({ record: bytes, digits, words: t }: Stage): HTMLElement {
  const record = decodeSlim(bytes);
  const count = digits.labels.length;
  const whole = networkOfSlim(record);
  const rightWhole = rightOf(whole, digits);
  const floats = 4 * whole.reduce((sum, { weights, bias }) => sum + weights.length + bias.length, 0);
  const bars = new Bars();
  const state = { share: 1, most: mostLevel, codec: codecs[0] as Codec };
  const move = (change: Partial<typeof state>) => {
    Object.assign(state, change);
    const model = fewerOf(record, state.share, state.most);
    const file = written(model, state.codec);
    const right = rightOf(networkOfSlim(model), digits);
    frame.title(t.file(file.length.toLocaleString("en"), Math.round(floats / file.length), right, count));
    bars.show([
      {
        name: t.rightRecord(right, count, rightWhole),
        value: t.percent(right / count, 1),
        share: right / count,
      },
      ...bytesByPart(file).map(({ layer, part, bytes }) => ({
        name: layer === "" ? t.fileParts[part] : t.named(layer, t.fileParts[part]),
        value: bytes.toLocaleString("en"),
        share: bytes / file.length,
      })),
    ]);
  };
  const frame = new Frame(
    t.live,
    slider(
      t.keptOfRecord,
      { min: 10, max: 100, value: 100 },
      (v) => t.percent(v / 100),
      (v) => move({ share: v / 100 }),
    ),
    slider(
      t.levels,
      { min: 1, max: mostLevel, value: mostLevel },
      (v) => `±1 … ±${v}`,
      (most) => move({ most }),
    ),
    choice(t.codec, codecs, codecs[0], (codec) => move({ codec }), t.codecs),
    bars.element,
  );
  move({});
  return frame.element;
}

// --- Chapter 4.1: the recipe's file, made smaller without training ---------------------------------------------------

/** What is changed in the file of chapter 4.1. */
export interface Smaller {
  /** Shares of the weights that are left that go as well, by layer; the smallest go. */
  removed: Readonly<Record<string, number>>;
  /** Shared values a layer, at most. */
  values: number;
}

/** The recipe's file with fewer weights and fewer shared values (§4.1). */
export function smallerOf(recipe: SlimModel, { removed, values }: Smaller): SlimModel {
  const tensors = Object.entries(recipe.tensors).map(([name, tensor]): [string, SlimTensor] => {
    if (tensor.kind !== "codebook") return [name, tensor];
    const share = removed[layerOf(name)] ?? 0;
    if (share === 0 && tensor.codebook.length <= values) return [name, tensor];
    const weights = slimWeights({ tensors: { [name]: tensor } })[name];
    const { [name]: mask } = largestOf({ [name]: weights }, 1 - share);
    const clusters = Math.min(values, tensor.codebook.length);
    const { codes, codebook } = clusterWeights(weights, { clusters, mask });
    return [name, { ...tensor, codes, codebook, mask }];
  });
  return { ...recipe, tensors: Object.fromEntries(tensors) };
}

/** LeNet-5 of a .slim file, run as it is stored. */
export function storedLenet5({ tensors }: SlimModel): StoredNetwork {
  const kernels = Object.entries(tensors).flatMap(([name, tensor]) =>
    tensor.kind === "codebook" ? [[layerOf(name), { clustered: tensor, mask: tensor.mask }] as const] : [],
  );
  return storedNetwork(lenet5(20, 50, slimWeights({ tensors })), Object.fromEntries(kernels));
}

/** The class scores of each image, and how many are right. */
export function askAll(
  network: StoredNetwork,
  { images, labels }: Digits,
): { scores: Float32Array[]; right: number } {
  const scores = images.map((image) => network.run(image));
  return { scores, right: scores.filter((each, i) => answerOf(each) === labels[i]).length };
}

export function garmentsFigure({ recipe: bytes, garments, words: t }: Stage): HTMLElement {
  const recipe = decodeSlim(bytes);
  const count = garments.labels.length;
  const floats = Object.values(slimWeights(recipe)).reduce((sum, values) => sum + 4 * values.length, 0);
  const whole = askAll(storedLenet5(recipe), garments);
  const bars = new Bars();
  const answers = new Bars();
  const picture = new Picture(28, t.garment);
  const state = { removed: { conv2: 0, fc1: 0 }, values: 64 };
  let at = 0;
  let now = whole;
  const look = (garment: number) => {
    at = garment;
    picture.show(garments.images[at], 1);
    const said = (name: string, scores: Float32Array) => {
      const best = answerOf(scores);
      return { name, value: `${t.garments[best]} (${t.percent(scores[best])})`, share: scores[best] };
    };
    answers.show([said(t.recipeFile, whole.scores[at]), said(t.smallerFile, now.scores[at])]);
  };
  const move = (change: Partial<typeof state>) => {
    Object.assign(state, change);
    const model = smallerOf(recipe, state);
    const size = encodeSlim(model, { version: 2 }).length;
    now = askAll(storedLenet5(model), garments);
    frame.title(t.smaller((floats / size).toFixed(0), now.right, count));
    bars.show([
      { name: t.rightFile(t.smallerFile), value: String(now.right), share: now.right / count },
      { name: t.rightFile(t.recipeFile), value: String(whole.right), share: whole.right / count },
      { name: t.smallerFile, value: t.kib(size), share: size / bytes.length },
      { name: t.recipeFile, value: t.kib(bytes.length), share: 1 },
    ]);
    look(at);
  };
  const knob = (layer: keyof typeof state.removed) =>
    shareSlider(t.removedFrom(layer), { most: 95, share: 0, words: t }, (share) =>
      move({ removed: { ...state.removed, [layer]: share } }),
    );
  const garment = slider(
    t.garment,
    { min: 0, max: count - 1, value: 0 },
    (i) => t.named(i + 1, t.garments[garments.labels[i]]),
    look,
  );
  const frame = new Frame(
    t.live,
    knob("fc1"),
    knob("conv2"),
    slider(
      t.sharedValues,
      { min: 1, max: 6, value: 6 },
      (v) => String(2 ** v),
      (v) => move({ values: 2 ** v }),
    ),
    bars.element,
    garment,
    make("div", { className: "live-row" }, picture.element, answers.element),
  );
  move({});
  return frame.element;
}
