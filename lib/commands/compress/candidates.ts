// The recipes that `slimlab compress` tries, cheapest first: bits alike for all layers; pruned as well; with training where
// there are images enough; and last, bits layer by layer, for what is asked.
import type { Recipe } from "../../pipeline/index.ts";
import { fewWeights } from "../../quantization/index.ts";
import { examplesToRoundOn } from "../eight-bits.ts";

/** What is known of the work before it begins. */
export interface Situation {
  /** Images to learn from. */
  images: number;
  /** Multiply-accumulates of one image. */
  macs: number;
  /** Passes over the images after pruning; by default what a few minutes allow, 0 where images are few. */
  epochs?: number;
  /** The number of weights of each kernel. */
  kernels: readonly number[];
  /** Whether what counts is a file for an engine, whose kernels have 8 bits. */
  forEngine: boolean;
  /** Whether the network has to run in integers throughout. */
  integers?: boolean;
  /** Whether the network tells classes apart, as distillation needs it; others train on their targets. */
  tells?: boolean;
}

// Below that many images training learns them by heart.
const fewImages = 200;
// Multiply-accumulates of one training, forward and back: about a minute on WebAssembly.
const trainingWork = 3e11;

/** How long to train after each pruning. */
export function epochsFor({ images, macs, epochs }: Situation): number {
  if (epochs !== undefined) return epochs;
  if (images < fewImages) return 0;
  // Few images are looked at more often.
  const wanted = Math.min(10, Math.max(3, Math.round(6000 / images)));
  return Math.min(wanted, Math.floor(trainingWork / (3 * macs * images)));
}

// What floats for small kernels may add to what all others take.
const smallShare = 1 / 50;

/**
 * Small kernels stay floats, as TFLite's converter leaves them: they cost little, and their rounding much. Not where they
 * are much of the network, and not where no floats are allowed.
 *
 * @param bits of the other kernels
 * @param kept share of their weights that is not pruned
 */
function smallStay({ kernels, integers }: Situation, bits: number, kept = 1) {
  const sum = (sizes: readonly number[]) => sizes.reduce((all, size) => all + size, 0);
  const small = sum(kernels.filter((size) => size < fewWeights));
  const added = (32 - bits) * small;
  const isWorth = small > 0 && added <= smallShare * bits * kept * (sum(kernels) - small);
  return { keepFloatBelow: isWorth && !integers ? fewWeights : 0 };
}

/** 8 bits for all kernels, each rounded as disturbs the network least: in integers that decides how much is lost. */
function roundedWell(situation: Situation): Recipe[number] {
  const { kernels, macs } = situation;
  return {
    technique: "quantizeAutomatically",
    bits: [8],
    // What any choice fits into.
    bytes: 8 * kernels.reduce((sum, size) => sum + size, 0),
    images: examplesToRoundOn(macs, kernels.length),
    ...smallStay(situation, 8),
  };
}

/** Recipes for any goal, from those that change little to those that change much. */
export function candidates(situation: Situation): Recipe[] {
  const epochs = epochsFor(situation);
  const quantized = (bits: number, sparsity = 0) =>
    ({
      technique: "quantize",
      bits,
      range: bits < 8 ? "mse" : "max",
      ...smallStay(situation, bits, 1 - sparsity),
    }) as const;
  const repair = {
    technique: situation.tells === false ? "fineTune" : "distill",
    epochs,
    decay: "cosine",
  } as const;
  if (situation.forEngine) {
    const taken = [0.25, 0.5, 0.75].flatMap((sparsity): Recipe[] => [
      [{ technique: "pruneNeurons", sparsity }, repair, quantized(8)],
      [{ technique: "pruneFilters", sparsity }, repair, quantized(8)],
    ]);
    return [[quantized(8)], [roundedWell(situation)], ...(epochs > 0 ? taken : [])];
  }
  const plain = [8, 6, 5, 4].map((bits): Recipe => [quantized(bits)]);
  const pruned = (
    [
      [0.3, 8],
      [0.5, 6],
      [0.7, 5],
      [0.8, 4],
      [0.9, 4],
    ] as const
  ).map(([sparsity, bits]): Recipe => [{ technique: "pruneWeights", sparsity }, quantized(bits, sparsity)]);
  const trained = [0.6, 0.8, 0.9, 0.95].flatMap((sparsity) =>
    [6, 4].map(
      (bits): Recipe => [{ technique: "pruneWeights", sparsity }, repair, quantized(bits, sparsity)],
    ),
  );
  return [...plain, ...pruned, ...(epochs > 0 ? trained : [])];
}

/** Bits by layer for a goal. */
export function adaptive(situation: Situation, aim: { bytes: number } | { accuracyFloor: number }): Recipe {
  const weights = situation.kernels.reduce((sum, size) => sum + size, 0);
  // What a floor takes is not known before; 4 bits are about what it comes to.
  const bits = "bytes" in aim ? (8 * aim.bytes) / weights : 4;
  return [{ technique: "quantizeAutomatically", ...aim, ...smallStay(situation, bits) }];
}
