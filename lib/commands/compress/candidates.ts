// The recipes that `slimlab compress` tries, cheapest first: bits alike for all layers; pruned as well; with training where
// there are images enough; and last, bits layer by layer, for what is asked.
import type { Recipe } from "../../pipeline/index.ts";
import type { Goal } from "./goal.ts";

/** What is known of the work before it begins. */
export interface Situation {
  /** Images to learn from. */
  images: number;
  /** Multiply-accumulates of one image. */
  macs: number;
  /** Passes over the images after pruning; by default what a few minutes allow, 0 where images are few. */
  epochs?: number;
  /** Whether what counts is a file for an engine, whose kernels have 8 bits. */
  forEngine: boolean;
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

/** Recipes for any goal, from those that change little to those that change much. */
export function candidates(situation: Situation): Recipe[] {
  const epochs = epochsFor(situation);
  const quantized = (bits: number) =>
    ({ technique: "quantize", bits, range: bits < 8 ? "mse" : "max" }) as const;
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
    return [[quantized(8)], ...(epochs > 0 ? taken : [])];
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
  ).map(([sparsity, bits]): Recipe => [{ technique: "pruneWeights", sparsity }, quantized(bits)]);
  const trained = [0.6, 0.8, 0.9, 0.95].flatMap((sparsity) =>
    [6, 4].map((bits): Recipe => [{ technique: "pruneWeights", sparsity }, repair, quantized(bits)]),
  );
  return [...plain, ...pruned, ...(epochs > 0 ? trained : [])];
}

/** Bits by layer for a goal. */
export function adaptive(goal: Extract<Goal, { kind: "drop" }> & { floor: number }): Recipe;
export function adaptive(goal: Extract<Goal, { kind: "budget" }>): Recipe;
export function adaptive(goal: Goal & { floor?: number }): Recipe {
  const aim =
    goal.kind === "budget" ? { bytes: goal.bytes } : { accuracyFloor: goal.kind === "drop" ? goal.floor : 0 };
  return [{ technique: "quantizeAutomatically", ...aim } as Recipe[number]];
}
