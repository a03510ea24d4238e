// Answers to the chapters' exercises that their checks must tell apart: learners' ways of being right, and of being wrong.
/** The ways in which a function that maps pairs may go wrong, as `beats` of 2.2: signs of its two comparisons. */
const beatsBy = (ratio: string, loss: string, joined = "&&") =>
  `const beats = (a: { ratio: number; loss: number }, b: { ratio: number; loss: number }): boolean => a.ratio ${ratio} b.ratio ${joined} a.loss ${loss} b.loss;`;

/** Answers beside the chapters' own, by exercise: right in another way, or wrong as learners are wrong. */
export const otherAnswers: Record<string, { right?: string[]; wrong?: string[] }> = {
  "1.1-a": {
    right: ["const denseParameters = 4097 * 4096;\nconst convParameters = (9 * 512 + 1) * 512;"],
    wrong: ["const denseParameters = 4096 ** 2;\nconst convParameters = 9 * 512 ** 2;"],
  },
  "1.1-b": {
    wrong: [
      "const outputSize = (i: number, k: number, s = 1, p = 0): number => (i + 2 * p - k) / s + 1;",
      "const outputSize = (i: number, k: number, s = 1, p = 0): number => Math.ceil((i + 2 * p - k) / s) + 1;",
      "const outputSize = (i: number, k: number, s = 1, p = 0): number => Math.floor((i + p - k) / s) + 1;",
      "const outputSize = (i: number, k: number, s = 1, p = 0): number => Math.floor((i + 2 * p - k + 1) / s);",
    ],
    right: [
      "const outputSize = (i: number, k: number, s = 1, p = 0): number => ((i + 2 * p - k - ((i + 2 * p - k) % s)) / s) + 1;",
      "function outputSize(size: number, window: number, step = 1, border = 0): number {\n  let places = 0;\n  for (let at = 0; at + window <= size + 2 * border; at += step) places++;\n  return places;\n}",
    ],
  },
  "1.2-a": {
    right: [
      "const factorNumbers = (k: number): number => k * (784 + 300);\nlet largestUsefulRank = 0;\nwhile (factorNumbers(largestUsefulRank + 1) < 784 * 300) largestUsefulRank++;",
    ],
    wrong: [
      "const factorNumbers = (k: number): number => 54_200;\nconst largestUsefulRank: number = 216;",
      "const factorNumbers = (k: number): number => k * (784 + 300);\nconst largestUsefulRank: number = 217;",
      "const factorNumbers = (k: number): number => k * (784 + 300 + 1);\nconst largestUsefulRank: number = 216;",
    ],
  },
  "1.2-b": {
    wrong: [
      'const answers = ["quantization", "pruning", "low rank", "distillation"];',
      'const answers = ["pruning", "pruning", "distillation", "low rank"];',
    ],
  },
  "2.1-a": {
    right: ["const stable = 1.5625;"],
    wrong: ["const stable = (4 + 2 + 2 + 1) / 4;", "const stable = 25 / 4;"],
  },
  "2.1-b": {
    right: [
      "function deadShare(a: Float32Array, neurons: number): number {\n  const sums = Array.from({ length: neurons }, (_, n) => a.filter((_x, i) => i % neurons === n).reduce((x, y) => x + y, 0));\n  return sums.filter((sum) => sum === 0).length / neurons;\n}",
    ],
    wrong: [
      "const deadShare = (a: Float32Array, neurons: number): number => a.filter((x) => x === 0).length / a.length;",
      "function deadShare(a: Float32Array, neurons: number): number {\n  const rows = a.length / neurons;\n  let dead = 0;\n  for (let n = 0; n < neurons; n++) if (a.subarray(n * rows, (n + 1) * rows).every((x) => x === 0)) dead++;\n  return dead / neurons;\n}",
      "function deadShare(a: Float32Array, neurons: number): number {\n  const fires = new Set<number>();\n  a.forEach((x, i) => { if (x > 0) fires.add(i % neurons); });\n  return neurons - fires.size;\n}",
    ],
  },
  "2.2-a": {
    right: [
      "const standardError = Math.sqrt(0.97 * 0.03) / Math.sqrt(1000);",
      "const standardError = 0.0054;",
    ],
    wrong: ["const standardError = (0.97 * 0.03) / 1000;", "const standardError = Math.sqrt(0.97 / 1000);"],
  },
  "2.2-b": {
    right: [
      "function beats(a: { ratio: number; loss: number }, b: { ratio: number; loss: number }): boolean {\n  if (a.ratio < b.ratio || a.loss > b.loss) return false;\n  return a.ratio !== b.ratio || a.loss !== b.loss;\n}",
    ],
    wrong: [
      beatsBy(">=", "<"),
      beatsBy(">", "<="),
      beatsBy(">", "<"),
      beatsBy(">=", "<="),
      beatsBy(">", "<", "||"),
      "const beats = (a: { ratio: number; loss: number }, b: { ratio: number; loss: number }): boolean => a.ratio / a.loss > b.ratio / b.loss;",
    ],
  },
  "2.3-a": {
    wrong: ["const bitsPerWeight = 5;", "const bitsPerWeight = 0.05 * 5;"],
    right: ["const bitsPerWeight = 0.25 + entropy([0.05, 0.95]);"],
  },
  "2.3-b": {
    right: [
      'const mineRecipe: Recipe = [{ technique: "pruneWeights", sparsity: 0.9 }, { technique: "fineTune", epochs: 4 }, { technique: "cluster", clusters: 8 }, { technique: "fineTune", epochs: 1, learningRate: 0.0005 }];',
    ],
    wrong: [
      // The chapter's own; small, and not trained.
      "const mineRecipe: Recipe = example;",
      'const mineRecipe: Recipe = [{ technique: "pruneWeights", sparsity: 0.95 }, { technique: "cluster", clusters: 16 }];',
    ],
  },
  "3.1.1-a": {
    right: [
      "const sparsityNeeded = (r: number, c: number, ratio: number): number => 1 - (4 * r * c / ratio - 4 * (r + 1)) / (6 * r * c);",
      "const sparsityNeeded = (r: number, c: number, ratio: number): number => (r * c - Math.floor((4 * r * c / ratio - 4 * r - 4) / 6)) / (r * c);",
    ],
    wrong: [
      "const sparsityNeeded = (r: number, c: number, ratio: number): number => 0.9337;",
      "const sparsityNeeded = (r: number, c: number, ratio: number): number => 1 - 1 / ratio;",
      "const sparsityNeeded = (r: number, c: number, ratio: number): number => 1 - (4 * r * c / ratio - 4 * r) / (6 * r * c);",
      "const sparsityNeeded = (r: number, c: number, ratio: number): number => 1 - (4 * r * c / ratio - 4 * (r + 1)) / (8 * r * c);",
      "const sparsityNeeded = (r: number, c: number, ratio: number): number => (4 * r * c / ratio - 4 * (r + 1)) / (6 * r * c);",
    ],
  },
  "3.1.1-b": {
    right: [
      "const noise = Object.fromEntries(Object.entries(trained).map(([layer, w]) => [layer, Float32Array.from({ length: w.length }, () => Math.random() - 0.5)]));",
    ],
    wrong: ["Math.abs(x)", "x", "x * x"].map(
      (score) =>
        `const noise = Object.fromEntries(Object.entries(trained).map(([layer, w]) => [layer, w.map((x) => ${score})]));`,
    ),
  },
  "3.1.2-a": {
    right: ["const workLeft = (gone: number): number => { const q = 1 - gone; return q * q; };"],
    wrong: ["1 - share", "1 - share ** 2", "share ** 2", "0.25"].map(
      (left) => `const workLeft = (share: number): number => ${left};`,
    ),
  },
  "3.1.2-b": {
    right: [
      "const distances = (kernel: Float32Array, filters: number) => {\n  const all = Array.from({ length: filters }, (_, f) => kernel.filter((_w, i) => i % filters === f));\n  return all.map((a) => all.reduce((sum, b) => sum + Math.hypot(...a.map((x, i) => x - b[i])), 0));\n};",
    ],
    wrong: [
      // squares, absolute values, and filters taken one after the other
      "const distances = (kernel: Float32Array, filters: number) => {\n  const all = Array.from({ length: filters }, (_, f) => kernel.filter((_w, i) => i % filters === f));\n  return all.map((a) => all.reduce((sum, b) => sum + a.reduce((s, x, i) => s + (x - b[i]) ** 2, 0), 0));\n};",
      "const distances = (kernel: Float32Array, filters: number) => {\n  const all = Array.from({ length: filters }, (_, f) => kernel.filter((_w, i) => i % filters === f));\n  return all.map((a) => all.reduce((sum, b) => sum + a.reduce((s, x, i) => s + Math.abs(x - b[i]), 0), 0));\n};",
      "const distances = (kernel: Float32Array, filters: number) => {\n  const size = kernel.length / filters;\n  const all = Array.from({ length: filters }, (_, f) => kernel.slice(f * size, (f + 1) * size));\n  return all.map((a) => all.reduce((sum, b) => sum + Math.hypot(...a.map((x, i) => x - b[i])), 0));\n};",
    ],
  },
  "3.1.2-c": {
    right: [
      'function onlyIn(layer: string, share: number): pruning.Masks {\n  const norms = [...scores["L1 norm"][layer]];\n  const order = norms.map((_, f) => f).sort((a, b) => norms[a] - norms[b]);\n  const gone = new Set(order.slice(0, Math.round(share * norms.length)));\n  return { [layer]: Uint8Array.from(norms, (_, f) => (gone.has(f) ? 0 : 1)) };\n}',
    ],
    wrong: [
      'const onlyIn = (layer: string, share: number): pruning.Masks => pruning.layerSparsity(scores["L1 norm"], share);',
      'const onlyIn = (layer: string, share: number): pruning.Masks => pruning.layerSparsity({ [layer]: scores["L1 norm"][layer].map((x) => -x) }, share);',
      'const onlyIn = (layer: string, share: number): pruning.Masks => pruning.layerSparsity({ [layer]: scores["L1 norm"][layer] }, 1 - share);',
      'const onlyIn = (layer: string, share: number): pruning.Masks => pruning.layerSparsity({ [layer]: scores["mean activation"][layer] }, share);',
    ],
  },
  "3.1.2-d": {
    wrong: [
      // Small enough, and not trained; half of the filters are not enough.
      'const yours = pruneGroups(model, pruning.layerSparsity(scores["L1 norm"], 0.7));',
      'const yours = pruneGroups(model, half["per-layer share"]);',
    ],
  },
  "3.1.3-a": {
    right: ["const macsLeft = (h1: number, h2: number): number => (h1 * (784 + h2) + 10 * h2) / 266_200;"],
    wrong: ["(h1 * h2) / 30_000", "(h1 + h2) / 400", "(784 * h1 + h1 * h2) / (784 * 300 + 300 * 100)"].map(
      (left) => `const macsLeft = (h1: number, h2: number): number => ${left};`,
    ),
  },
  "3.1.3-b": {
    right: [
      "const shareActive = (outputs: Float32Array, neurons: number) => Array.from({ length: neurons }, (_, n) => {\n  const own = outputs.filter((_x, i) => i % neurons === n);\n  return own.filter((x) => x > 0).length / own.length;\n});",
    ],
    wrong: [
      // the zeros, means, and counts
      "const shareActive = (outputs: Float32Array, neurons: number) => Array.from({ length: neurons }, (_, n) => {\n  const own = outputs.filter((_x, i) => i % neurons === n);\n  return own.filter((x) => x === 0).length / own.length;\n});",
      "const shareActive = (outputs: Float32Array, neurons: number) => Array.from({ length: neurons }, (_, n) => {\n  const own = outputs.filter((_x, i) => i % neurons === n);\n  return own.reduce((a, b) => a + b, 0) / own.length;\n});",
      "const shareActive = (outputs: Float32Array, neurons: number) => Array.from({ length: neurons }, (_, n) => outputs.filter((x, i) => i % neurons === n && x > 0).length / outputs.length);",
    ],
  },
  "3.1.3-c": {
    right: [
      "function fillBias(bias: Float32Array, next: Float32Array, means: Float32Array, keep: Uint8Array): Float32Array {\n  return bias.map((b, k) => means.reduce((sum, mean, n) => sum + (keep[n] ? 0 : mean * next[n * bias.length + k]), b));\n}",
      "const fillBias = (bias: Float32Array, next: Float32Array, means: Float32Array, keep: Uint8Array) => {\n  for (let n = 0; n < keep.length; n++) {\n    const row = next.subarray(n * bias.length, (n + 1) * bias.length);\n    if (!keep[n]) row.forEach((w, k) => { bias[k] += means[n] * w; });\n  }\n  return bias;\n};",
    ],
    wrong: [
      // columns for rows, what stays for what goes, no weights
      "const fillBias = (bias: Float32Array, next: Float32Array, means: Float32Array, keep: Uint8Array): Float32Array => bias.map((b, k) => means.reduce((sum, mean, n) => sum + (keep[n] ? 0 : mean * next[k * keep.length + n]), b));",
      "const fillBias = (bias: Float32Array, next: Float32Array, means: Float32Array, keep: Uint8Array): Float32Array => bias.map((b, k) => means.reduce((sum, mean, n) => sum + (keep[n] ? mean * next[n * bias.length + k] : 0), b));",
      "const fillBias = (bias: Float32Array, next: Float32Array, means: Float32Array, keep: Uint8Array): Float32Array => bias.map((b) => means.reduce((sum, mean, n) => sum + (keep[n] ? 0 : mean), b));",
    ],
  },
  "3.1.3-d": {
    wrong: [
      'const yours = pruneGroups(model, pruning.layerSparsity(scores["gradient × output"], 0.7));',
      'const yours = pruneGroups(model, pruning.layerSparsity(scores["gradient × output"], 0.25));',
    ],
  },
  "3.1.4-a": {
    right: [
      "const shareEachStep = (target: number, n: number): number => 1 - Math.exp(Math.log(1 - target) / n);",
    ],
    wrong: ["target ** (1 / n)", "(1 - target) ** (1 / n)", "1 - (1 - target) / n"].map(
      (share) => `const shareEachStep = (target: number, n: number): number => ${share};`,
    ),
  },
  "3.1.4-b": {
    wrong: [
      "const early = (target: number, n: number, cuts: number): number[] => pruning.prunePlan({ sparsity: target, steps: n });",
      "const early = (target: number, n: number, cuts: number): number[] => [...pruning.prunePlan({ sparsity: 0.98, steps: 3 }), 0.98, 0.98];",
      "const early = (target: number, n: number, cuts: number): number[] => Array.from({ length: n }, (_, i) => target * Math.min(1, (i + 1) / cuts));",
    ],
    right: [
      "const early = (target: number, n: number, cuts: number): number[] => [...pruning.prunePlan({ sparsity: target, steps: cuts }), ...Array.from({ length: n - cuts }, () => target)];",
    ],
  },
  "3.1.4-c": {
    right: [
      "function signsOnly(weights: Record<string, Float32Array>): Record<string, Float32Array> {\n  for (const w of Object.values(weights)) {\n    const size = Math.hypot(...w) / Math.sqrt(w.length);\n    for (let i = 0; i < w.length; i++) w[i] = w[i] > 0 ? size : w[i] < 0 ? -size : 0;\n  }\n  return weights;\n}",
    ],
    wrong: [
      "w.map((x) => Math.sign(x))",
      "w.map((x) => (x < 0 ? -1 : 1) * Math.sqrt(w.reduce((s, y) => s + y * y, 0) / w.length))",
      "w.map((x) => Math.sign(x) * (w.reduce((s, y) => s + Math.abs(y), 0) / w.length))",
    ].map(
      (own) =>
        `const signsOnly = (weights: Record<string, Float32Array>): Record<string, Float32Array> => Object.fromEntries(Object.entries(weights).map(([layer, w]) => [layer, ${own}]));`,
    ),
  },
  "3.1.4-d": {
    wrong: ['const plan = planOf("cubic", 0.99);', "const plan = [0.99];"],
  },
  "3.2.1-a": {
    right: ["const largestError = (alpha: number, b: number): number => alpha / (2 ** b - 2);"],
    wrong: ["alpha / (2 ** (b - 1) - 1)", "alpha / 2 ** b", "alpha / 2 ** (b - 1)"].map(
      (error) => `const largestError = (alpha: number, b: number): number => ${error};`,
    ),
  },
  "3.2.1-b": {
    right: [
      "const packNibbles = (codes: ArrayLike<number>): Uint8Array => Uint8Array.from({ length: (codes.length + 1) >> 1 }, (_, i) => (codes[2 * i] & 15) + 16 * ((codes[2 * i + 1] ?? 0) & 15));",
      "function packNibbles(codes: ArrayLike<number>) {\n  const out: number[] = [];\n  for (let i = 0; i < codes.length; i += 2) out.push((codes[i] & 15) | ((i + 1 < codes.length ? codes[i + 1] & 15 : 0) << 4));\n  return out;\n}",
    ],
    wrong: [
      "const packNibbles = (codes: ArrayLike<number>): Uint8Array => Uint8Array.from({ length: (codes.length + 1) >> 1 }, (_, i) => 16 * (codes[2 * i] & 15) + ((codes[2 * i + 1] ?? 0) & 15));",
      "const packNibbles = (codes: ArrayLike<number>): Uint8Array => Uint8Array.from({ length: codes.length >> 1 }, (_, i) => (codes[2 * i] & 15) + 16 * (codes[2 * i + 1] & 15));",
      "const packNibbles = (codes: ArrayLike<number>): Uint8Array => Uint8Array.from({ length: (codes.length + 1) >> 1 }, (_, i) => codes[2 * i] | (codes[2 * i + 1] << 4));",
    ],
  },
  "3.2.1-c": {
    right: [
      "const roundAtRandom = (x: number, random: () => number): number => Math.floor(x + random());",
      "const roundAtRandom = (x: number, random: () => number): number => Math.sign(x) * Math.floor(Math.abs(x) + random());",
    ],
    wrong: [
      "const roundAtRandom = (x: number, random: () => number): number => Math.trunc(x) + (random() < Math.abs(x % 1) ? 1 : 0);",
      "const roundAtRandom = (x: number, random: () => number): number => (random() < 0.5 ? Math.floor(x) : Math.ceil(x));",
      "const roundAtRandom = (x: number, random: () => number): number => (random() > x - Math.floor(x) ? Math.ceil(x) : Math.floor(x));",
      "const roundAtRandom = (x: number, random: () => number): number => Math.round(x + random());",
    ],
  },
  "3.2.1-d": {
    wrong: [
      // Other codes; the same codes for other values.
      "const learnt: typeof clustered = Object.fromEntries(layers.map((layer) => [layer, quant.clusterWeights(trained[layer], { clusters: 8 })]));",
      "const learnt: typeof clustered = Object.fromEntries(layers.map((layer) => [layer, { ...clustered[layer], codebook: clustered[layer].codebook.map((c) => -c) }]));",
    ],
  },
  "3.2.2-a": {
    right: [
      "const zeroPoint = (min: number, max: number, b: number): number => Math.round((-min * (2 ** b - 1)) / (max - min));",
    ],
    wrong: [
      "Math.round((min * (2 ** b - 1)) / (max - min))",
      "Math.round((-min * 2 ** b) / (max - min)) - 1",
      "(-min * (2 ** b - 1)) / (max - min)",
      "2 ** (b - 1)",
    ].map((z) => `const zeroPoint = (min: number, max: number, b: number): number => ${z};`),
  },
  "3.2.2-b": {
    right: [
      "function movingMax(batches: Float32Array[], rate: number): number {\n  let mean: number | undefined;\n  for (const batch of batches) {\n    let top = Number.NEGATIVE_INFINITY;\n    for (const x of batch) if (x > top) top = x;\n    mean = mean === undefined ? top : (1 - rate) * mean + rate * top;\n  }\n  return mean!;\n}",
    ],
    wrong: [
      "const movingMax = (batches: Float32Array[], rate: number): number => batches.map(largest).reduce((mean, max) => mean + rate * (max - mean), 0);",
      "const movingMax = (batches: Float32Array[], rate: number): number => batches.map(largest).reduce((mean, max) => rate * mean + (1 - rate) * max);",
      "const movingMax = (batches: Float32Array[], rate: number): number => batches.map(largest).reduce((a, b) => a + b) / batches.length;",
    ],
  },
  "3.2.2-c": {
    right: [
      "function fixed(M: number): { multiplier: number; shift: number } {\n  let shift = 0;\n  while (M * 2 ** shift < 2 ** 21) shift++;\n  return { shift, multiplier: Math.round(M * 2 ** shift) };\n}",
    ],
    wrong: [
      "const fixed = (M: number) => ({ multiplier: Math.round(M * 2 ** 28), shift: 28 });",
      "const fixed = (M: number) => ({ multiplier: M * 2 ** 21, shift: 21 });",
      "const fixed = (M: number) => { const shift = 20 - Math.floor(Math.log2(M)); return { multiplier: Math.round(M * 2 ** shift), shift }; };",
    ],
  },
  "3.2.2-d": {
    wrong: [
      // Left in floats; rounded, and not trained.
      'const yours = cloneModel(model);\nconst yourGrids = await calibrateActivations(yours, calibration, { bits: 2, method: "mse" });',
      'const yours = cloneModel(model);\nquantizeWeights(yours, { bits: 2, range: "max" });\nconst yourGrids = await calibrateActivations(yours, calibration, { bits: 2, method: "mse" });',
      'const yours = cloneModel(model);\nquantizeWeights(yours, { bits: 2, range: "mse" });\nconst yourGrids = await calibrateActivations(yours, calibration, { bits: 8, method: "mse" });',
    ],
  },
  "3.3.1-a": {
    right: ["const energyShare = 13 / 15;\nconst relativeError = Math.sqrt(2 / 15);"],
    wrong: [
      "const energyShare = 5 / 7;\nconst relativeError = Math.sqrt(2 / 7);",
      "const energyShare = 13 / 15;\nconst relativeError = 2 / 15;",
    ],
  },
  "3.3.1-b": {
    right: [
      "const largestRank = (m: number, n: number, ratio: number): number => { let k = 0; while ((k + 1) * (m + n) * ratio <= m * n) k++; return k; };",
    ],
    wrong: [
      "Math.round((m * n) / ratio / (m + n))",
      "Math.ceil((m * n) / ratio / (m + n)) - 1",
      "Math.floor(Math.min(m, n) / ratio)",
    ].map((k) => `const largestRank = (m: number, n: number, ratio: number): number => ${k};`),
  },
  "3.3.1-c": {
    right: [
      'const { model: compressed } = await factorizeModel(model, { plan: { fc1: { method: "svd", rank: 50 } } });',
    ],
    wrong: [
      'const { model: compressed } = await factorizeModel(model, { plan: { fc1: { method: "svd", rank: 10 } } });',
      'const { model: compressed } = await factorizeModel(model, { plan: { fc1: { method: "svd", rank: 250 } } });',
    ],
  },
  "3.3.2-a": {
    right: ["const parameters: number = lowrank.tucker2Parameters([3, 3, 64, 128], 16, 32);"],
    wrong: [
      "const parameters: number = 3 * 3 * 16 * 32;",
      "const parameters: number = 64 * 16 + 16 * 32 + 32 * 128;",
    ],
  },
  "3.3.2-b": {
    right: [
      "const breakEven = ([h, w, a, b]: [number, number, number, number]): number => { let R = 0; while ((R + 1) * (h + w + a + b) < h * w * a * b) R++; return R; };",
    ],
    wrong: [
      "const breakEven = ([h, w, a, b]: [number, number, number, number]): number => Math.floor((h * w * a * b) / (h + w + a + b));",
      "const breakEven = ([h, w, a, b]: [number, number, number, number]): number => (h * w * a * b) / (h + w + a + b);",
    ],
  },
  "3.4-a": {
    right: [
      "function scaled(z: number[], T: number): number[] {\n  for (let i = 0; i < z.length; i++) z[i] *= T;\n  return z;\n}",
    ],
    wrong: ["z.map((x) => x / T)", "z.map((x) => 3 * x)", "z.map((x) => x + T)"].map(
      (own) => `const scaled = (z: number[], T: number): number[] => ${own};`,
    ),
  },
  "3.4-b": {
    right: [
      "const softGradient = (z: number[], v: number[], T: number, a: number): number[] => softened(z, T).map((p, i) => (p - softened(v, T)[i]) * T * a);",
    ],
    wrong: [
      "T * (p - softened(v, T)[i])",
      "a * (p - softened(v, T)[i])",
      "a * 3 * (p - softened(v, T)[i])",
      "a * T * (softened(v, T)[i] - p)",
      "a * T ** 2 * (p - softened(v, T)[i])",
    ].map(
      (own) =>
        `const softGradient = (z: number[], v: number[], T: number, a: number): number[] => softened(z, T).map((p, i) => ${own});`,
    ),
  },
  "3.4-c": {
    wrong: [
      // Not taught; taught by labels.
      "const taughtWith = async (images: typeof pool): Promise<number> => (await evaluate(studentOf(1), validation)).accuracy;",
      "async function taughtWith(images: typeof pool): Promise<number> {\n  const student = studentOf(1);\n  await train(student, images, { ...course, epochs: Math.round(200 / Math.ceil(images.count / 64)) });\n  return (await evaluate(student, validation)).accuracy;\n}",
    ],
  },
  "4.1-a": {
    right: ["const weightsLeft: number = 400_000 * (1 - 0.93);\nconst codeBytes: number = weightsLeft / 2;"],
    wrong: [
      "const weightsLeft: number = 400_000 * 0.93;\nconst codeBytes: number = weightsLeft / 2;",
      "const weightsLeft: number = 28_000;\nconst codeBytes: number = weightsLeft * 4;",
    ],
  },
  "4.1-b": {
    wrong: [
      // Not trained at all; changed, and not by training; a share instead of points.
      "const longer = cloneModel(model);\nconst pointsLost: number = 100 * (original.accuracy - small);",
      `const longer = cloneModel(model);
setWeights(longer, { ...weightsOf(model), fc1: weightsOf(model).fc1.map((w) => -w) });
const pointsLost: number = 100 * (original.accuracy - small);`,
      `const longer = cloneModel(model);
await train(longer, subset(lessons, 20), { epochs: 1, learningRate: 0.0001, seed: 1 });
const pointsLost: number =
  Math.max(original.accuracy, (await evaluate(longer, validation)).accuracy) - small;`,
    ],
  },
  "4.1-c": {
    right: [
      `const yours: Recipe = [
  {
    technique: "pruneIteratively",
    sparsity: { conv1: 0.2, conv2: 0.7, fc1: 0.975, fc2: 0.6 },
    steps: 2,
    fineTune: { epochs: 1, learningRate: 0.001, batchSize: 16 },
  },
  { technique: "cluster", clusters: { conv1: 32, conv2: 8, fc1: 4, fc2: 16 } },
];`,
    ],
    wrong: [
      // Nothing pruned; pruned, and not trained.
      'const yours: Recipe = [{ technique: "cluster", clusters: { conv1: 32, conv2: 8, fc1: 4, fc2: 16 } }];',
      `const yours: Recipe = [
  { technique: "pruneWeights", sparsity: { conv1: 0.2, conv2: 0.7, fc1: 0.975, fc2: 0.6 } },
  { technique: "cluster", clusters: { conv1: 32, conv2: 8, fc1: 4, fc2: 16 } },
];`,
    ],
  },
  "4.2-a": {
    wrong: [
      // The same result again; a floor that many bits keep, too.
      "const forAccuracy = automatic;",
      'const forAccuracy = await autoQuantize(cloneModel(model), subset(calibration, 60), { accuracyFloor: 0.97 }, { validation, bits: [8], gptq: "never", equalization: "never", biasCorrection: "never" });',
    ],
  },
  "4.2-b": {
    right: [
      "function splitOf(pictures: Uint8Array[], labels: number[]): Split {\n  const images = Uint8Array.from(pictures.flatMap((picture) => [...picture]));\n  return { images, labels: new Uint8Array(labels), count: labels.length, height: 28, width: 28, channels: 1 };\n}",
    ],
    wrong: [
      "const splitOf = (pictures: Uint8Array[], labels: number[]): Split => ({ images: pictures[0], labels: Uint8Array.from(labels), count: 2, height: 28, width: 28, channels: 1 });",
      "const splitOf = (pictures: Uint8Array[], labels: number[]): Split => ({ images: Uint8Array.from([...pictures].reverse().flatMap((p) => [...p])), labels: Uint8Array.from(labels), count: pictures.length, height: 28, width: 28, channels: 1 });",
      "const splitOf = (pictures: Uint8Array[], labels: number[]): Split => ({ images: Uint8Array.from(pictures.flatMap((p) => [...p])), labels: new Uint8Array(labels.length), count: pictures.length, height: 28, width: 28, channels: 1 });",
    ],
  },
  "4.3-a": {
    right: ["const bitsPerKept: number = Math.round((800 * slim.length) / keptWeights) / 100;"],
    wrong: [
      "const bitsPerKept: number = slim.length / keptWeights;",
      "const bitsPerKept: number = 32 / 240;",
    ],
  },
  "4.3-b": {
    right: [
      "const most: number = Math.floor(floats / goal);\nconst affordable: number = Math.floor((most * keptWeights) / slim.length);",
    ],
    wrong: [
      "const most: number = floats * goal;\nconst affordable: number = keptWeights;",
      "const most: number = floats / goal;\nconst affordable: number = most / 4;",
    ],
  },
  "4.4-a": {
    right: ["const bitsOf64: number = (64 * 4 + 16 + 4) / 64;"],
    wrong: ["const bitsOf64: number = 4 + 16 / 64;", "const bitsOf64: number = 4 + 20;"],
  },
  "4.4-b": {
    right: ["const billions: number = 10.67;\nconst atMost: number = 60 / ((billions * 4.5) / 8);"],
    wrong: [
      "const billions: number = (8 * 8) / 4.5;\nconst atMost: number = 60 / 8;",
      "const billions: number = 6 / 4.5;\nconst atMost: number = 60 / 6;",
    ],
  },
  "5-a": {
    right: [
      'const forThePhone = "3.2.2";\nconst forTheOther: string[] = within(0.02).filter((m) => m.fewer >= 2).flatMap(({ family }) => family.match(/\\d(\\.\\d)+/g) ?? []);',
      'const forThePhone = "3.2.2";\nconst forTheOther: string[] = within(0.02).filter((m) => m.fewer >= 2).map(({ family }) => family.replace(/ \\(.*/, ""));',
    ],
    wrong: [
      'const forThePhone = "3.2.2";\nconst forTheOther: string[] = ["weights (3.1.1)"];',
      'const forThePhone = "3.2.2";\nconst forTheOther: string[] = ["3.1.1", "3.1.2", "3.1.3", "3.2.1", "3.2.2", "3.3", "3.4"];',
      'const forThePhone = "3.1.1";\nconst forTheOther: string[] = [];',
    ],
  },
};
