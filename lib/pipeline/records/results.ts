// §4.3 What a record's runs measured, as results.json keeps it, and how two of them are compared.

import type { SlimPart } from "../../coding/index.ts";
import { deviation, mean } from "../../util/statistics.ts";
import type { Recipe } from "../recipe.ts";
import type { Row } from "../run.ts";
import type { ExperimentName } from "./experiments.ts";

/** Mistakes on a split. */
export interface Mistakes {
  errors: number;
  count: number;
  /** Mean cross-entropy, in nats. */
  loss: number;
}

/** A network on the images that decide, and, once, on those that judge. */
export interface Judged {
  validation: Mistakes;
  test: Mistakes;
}

/** One seed: the file, and what it is held against. */
export interface Run {
  seed: number;
  /** Where the network came from. */
  start: string;
  /** Exact length of the file that was decoded and measured, and its SHA-256. */
  bytes: number;
  sha256: string;
  /** Bytes of the network's parameters as 32-bit floats, over `bytes`. */
  ratio: number;
  compressed: Judged;
  /** The network as it started: trained on labels alone. */
  plain: Judged;
  /** The whole network trained on for as long, by the same teacher; undefined until it has been. */
  reference?: Judged;
  /** What each step left, on validation images. */
  rows: Pick<Row, "technique" | "accuracy" | "bytes" | "sparsity" | "seconds" | "note">[];
  /** What each part of the file takes. */
  parts: Pick<SlimPart, "tensor" | "stream" | "bytes">[];
  /** The paper's table, for its pipeline. */
  table?: LayerRow[];
}

/** A layer of the paper's tables 2 and 3: shares of its weights as 32-bit floats, bits per kept weight. */
export interface LayerRow {
  layer: string;
  weights: number;
  /** Share of the weights that stays. */
  kept: number;
  /** Bits of a weight's code and of its position, packed and Huffman-coded. */
  codeBits: number;
  codeBitsCoded: number;
  indexBits: number;
  indexBitsCoded: number;
  /** Codebook and code tables included. */
  bytes: number;
  bytesCoded: number;
}

/** A record's results. */
export interface Results {
  name: ExperimentName;
  title: string;
  slimlab: string;
  node: string;
  backend: string;
  data: { name: string; sha256: string; train: number; validation: number; test: number };
  recipe: Recipe;
  reference: Recipe;
  runs: Run[];
}

/** Mean and sample standard deviation; of one number the latter is 0. */
export function meanAndSpread(numbers: readonly number[]): { mean: number; spread: number } {
  return { mean: mean(numbers), spread: deviation(numbers) };
}

/** A figure of two results. */
export interface Comparison {
  figure: string;
  before: string | number;
  now: string | number;
  /** Equal; for sizes within 3 %, for mistakes within three standard deviations of what chance does to both. */
  agrees: boolean;
}

/** Holds the results of two times against each other, seed by seed. */
export function compareResults(before: Results, now: Results): Comparison[] {
  const text = (figure: string, of: (one: Results) => string): Comparison => {
    const [a, b] = [of(before), of(now)];
    return { figure, before: a, now: b, agrees: a === b };
  };
  const rows = [
    text("data", ({ data }) => `${data.name} ${data.sha256.slice(0, 12)}`),
    text("recipe", ({ recipe }) => JSON.stringify(recipe)),
    text("reference", ({ reference }) => JSON.stringify(reference)),
  ];
  for (const run of before.runs) {
    const again = now.runs.find(({ seed }) => seed === run.seed);
    if (!again) continue;
    const near = (figure: string, a: number, b: number, within: number) =>
      rows.push({
        figure: `seed ${run.seed}: ${figure}`,
        before: a,
        now: b,
        agrees: Math.abs(a - b) <= within,
      });
    near("bytes", run.bytes, again.bytes, 0.03 * run.bytes);
    for (const which of ["compressed", "plain", "reference"] as const) {
      const [a, b] = [run[which]?.test.errors, again[which]?.test.errors];
      if (a !== undefined && b !== undefined) near(`test errors, ${which}`, a, b, 3 * Math.sqrt(a + b));
    }
  }
  return rows;
}

/** A line for each network: bytes and mistakes, mean and spread over the seeds. */
export function summaryOf({ runs }: Results): Record<string, string | number>[] {
  const figure = (numbers: number[], digits = 1) => {
    const { mean, spread } = meanAndSpread(numbers);
    const shown = (value: number) =>
      value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
    return `${shown(mean)} ± ${shown(spread)}`;
  };
  return (["compressed", "reference", "plain"] as const).flatMap((network) => {
    const all = runs.flatMap(({ bytes, ratio, [network]: judged }) => {
      if (!judged) return [];
      return network === "compressed"
        ? [{ bytes, ratio, ...judged }]
        : [{ bytes: bytes * ratio, ratio: 1, ...judged }];
    });
    if (all.length === 0) return [];
    return {
      network,
      seeds: all.length,
      bytes: figure(
        all.map(({ bytes }) => bytes),
        0,
      ),
      "times smaller": figure(all.map(({ ratio }) => ratio)),
      "validation errors": figure(all.map(({ validation }) => validation.errors)),
      "test errors": figure(all.map(({ test }) => test.errors)),
      of: all[0].test.count,
    };
  });
}
