// Figures that compute in the page: what they compute is what the library computes, and they do it in a real browser.
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { costOf, decoderCost } from "../../lib/analysis/index.ts";
import { divergence, inWidths, oneWidth, widths, widthsOf } from "../../lib/book/client/live/budget.ts";
import { filtersLeft, lenet5With } from "../../lib/book/client/live/convolutions.ts";
import { asDigit } from "../../lib/book/client/live/draw.ts";
import {
  askAll,
  bytesByPart,
  codecs,
  fewerOf,
  smallerOf,
  storedLenet5,
  written,
} from "../../lib/book/client/live/files.ts";
import { floatBytes, pruned, quantized } from "../../lib/book/client/live/knobs.ts";
import {
  bitsFor,
  clustered,
  clustersFor,
  neuronsFor,
  rankFor,
  sparsityFor,
} from "../../lib/book/client/live/methods.ts";
import {
  answerOf,
  hiddenOf,
  logitsOf,
  networkOfSlim,
  rightOf,
  unpack,
  weightsOf,
} from "../../lib/book/client/live/network.ts";
import { bitesOf, decoders, withoutSome } from "../../lib/book/client/live/planned.ts";
import {
  activationsIn,
  bytesTogether,
  neuronScores,
  scoresOf,
  withoutNeurons,
} from "../../lib/book/client/live/turned.ts";
import { liveData, liveFigureOf, liveFigures } from "../../lib/book/live.ts";
import { buildBook } from "../../lib/book/site.ts";
import { decodeSlim, encodeSlim, slimWeights } from "../../lib/coding/index.ts";
import { loadDataset, subset } from "../../lib/datasets/index.ts";
import {
  evaluate,
  layerShapesOf,
  loadPretrained,
  modelOfSlim,
  predict,
  pruneGroups,
  weightsOf as weightsOfModel,
} from "../../lib/nn/index.ts";
import { loadRecord } from "../../lib/pipeline/index.ts";
import { sparsityOf } from "../../lib/pruning/index.ts";
import { allocate } from "../../lib/quantization/index.ts";
import { code, markdown, notebook, save } from "../chapters/notebooks.ts";
import { browserPath, startBrowser } from "./browser.ts";

describe("live figures", function () {
  this.timeout(300_000);

  it("have the network that ships, which answers as TensorFlow.js has it", async () => {
    const { network, digits } = unpack(await liveData());
    const { validation } = await loadDataset("mnist-10k");
    const few = subset(validation, digits.labels.length, 1);
    const model = await loadPretrained("lenet-300-100");
    const { correct } = await evaluate(model, few);
    assert.equal(rightOf(network, digits), correct);
    const { logits } = await predict(model, few);
    for (const [i, image] of digits.images.slice(0, 20).entries()) {
      const own = logitsOf(network, image);
      assert.ok(own.every((z, c) => Math.abs(z - logits[10 * i + c]) < 0.05));
    }
    model.dispose();
  });

  it("turn it with the library's functions", async () => {
    const { network, digits } = unpack(await liveData());
    assert.ok(Math.abs(sparsityOf(weightsOf(pruned(network, 0.9))) - 0.9) < 1e-4);
    const eight = quantized(network, 8);
    const two = quantized(network, 2);
    assert.ok(eight.sqnr > two.sqnr + 20 && eight.bytes > 3 * two.bytes);
    assert.ok(Math.abs(rightOf(eight.network, digits) - rightOf(network, digits)) <= 2);
  });

  it("take neurons out by the scores of 3.1.3, whose gradients are those of the loss", async () => {
    const { network, digits } = unpack(await liveData());
    const few = { images: digits.images.slice(0, 3), labels: digits.labels.slice(0, 3) };
    const hidden = hiddenOf(network, few);
    // A central difference of the loss by one neuron's output is the gradient.
    const lossWith = (layer: string, neuron: number, by: number) => {
      const z = logitsOf(network, few.images[2], (name, y) => {
        if (name === layer) y[neuron] += by;
      });
      const most = Math.max(...z);
      return most + Math.log(z.reduce((sum, x) => sum + Math.exp(x - most), 0)) - z[few.labels[2]];
    };
    for (const [layer, { outputs, gradients }] of Object.entries(hidden)) {
      const neurons = outputs.length / 3;
      const steepest = gradients
        .subarray(2 * neurons)
        .reduce((best, g, i, all) => (Math.abs(g) > Math.abs(all[best]) ? i : best), 0);
      const gradient = gradients[2 * neurons + steepest];
      const slope = (lossWith(layer, steepest, 0.01) - lossWith(layer, steepest, -0.01)) / 0.02;
      assert.ok(Math.abs(slope - gradient) <= 0.02 * Math.abs(gradient), `${layer}: ${slope}, ${gradient}`);
    }
    const scores = scoresOf(network, digits);
    assert.deepEqual(Object.keys(scores), [...neuronScores]);
    const { turn, parameters } = withoutNeurons(network, scores.gradientTimesOutput, 0.5);
    assert.equal(parameters, 785 * 150 + 151 * 50 + 51 * 10);
    assert.equal(neuronsFor(network, scores.random, 784 * 150 + 150 * 50 + 50 * 10), 0.5);
    assert.equal(neuronsFor(network, scores.random, 800), undefined);
    const silent = logitsOf(network, digits.images[0], (name, y) => {
      turn(name, y);
      assert.ok(y.filter((value) => value === 0).length >= y.length / 2);
    });
    assert.ok(silent.every(Number.isFinite));
    const left = (name: (typeof neuronScores)[number]) =>
      rightOf(network, digits, withoutNeurons(network, scores[name], 0.5).turn);
    assert.ok(left("gradientTimesOutput") > left("meanActivation"), "as chapter 3.1.3 has found");
    assert.equal(withoutNeurons(network, scores.random, 0).parameters, 266_610);
  });

  it("round activations to levels, and count what pruning and bits come to together", async () => {
    const { network, digits } = unpack(await liveData());
    const hidden = hiddenOf(network, digits);
    const whole = rightOf(network, digits);
    const [two, eight] = [2, 8].map((bits) => activationsIn(bits, "max", hidden));
    assert.ok(Math.abs(rightOf(network, digits, eight.turn) - whole) <= 2);
    assert.ok(eight.sqnr > two.sqnr + 25, `${eight.sqnr}, ${two.sqnr}`);
    const best = activationsIn(2, "mse", hidden);
    assert.ok(best.sqnr > two.sqnr && best.ends.fc1 < two.ends.fc1);
    logitsOf(network, digits.images[0], (name, y) => {
      two.turn(name, y);
      assert.ok(new Set(y).size <= 4, `${name} has more than four values`);
    });
    const { kept, positions } = bytesTogether(pruned(network, 0.9), 4);
    assert.ok(Math.abs(kept - 26_620 / 2) < 10, `${kept}`);
    // Layers are not equally sparse, so that to say which weights stay takes less than H(0.1) for all.
    assert.ok(positions < (266_200 * 0.469) / 8 && positions > (266_200 * 0.4) / 8, `${positions}`);
    assert.deepEqual(bytesTogether(network, 32), { kept: 4 * 266_200, positions: 0 });
  });

  it("prune one layer alone, from either end", async () => {
    const { network, digits } = unpack(await liveData());
    const right = (share: number, order: "smallest" | "random" | "largest") =>
      rightOf(withoutSome(network, "fc1", share, order), digits);
    const whole = rightOf(network, digits);
    assert.ok(right(0.8, "smallest") > whole - 10 && right(0.8, "random") < right(0.8, "smallest"));
    assert.ok(right(0.2, "largest") < right(0.2, "random"));
    const { fc1, ...others } = weightsOf(withoutSome(network, "fc1", 0.3, "largest"));
    const { fc1: before, ...same } = weightsOf(network);
    assert.deepEqual(others, same);
    const sizes = before.map(Math.abs).sort();
    const largest = fc1.reduce((most, w) => Math.max(most, Math.abs(w)), 0);
    assert.ok(largest <= sizes[Math.round(0.7 * sizes.length)], "the largest are gone");
    assert.ok(Math.abs(sparsityOf({ fc1 }) - 0.3) < 1e-4);
  });

  it("take bites as schedules say", () => {
    // Geometric: the same share of what is left in each step, here one half.
    for (const { bite } of bitesOf("geometric", 1 - 0.5 ** 4, 4)) assert.ok(Math.abs(bite - 0.5) < 1e-12);
    // Linear to 100 %: a fifth of all, which is a fifth, a quarter, a third, a half and all of what is left.
    const linear = bitesOf("linear", 1, 5).map(({ bite }) => bite);
    for (const [i, bite] of linear.entries()) assert.ok(Math.abs(bite - 1 / (5 - i)) < 1e-12);
    assert.deepEqual(
      bitesOf("oneShot", 0.9, 3).map(({ bite }) => bite),
      [0.9, 0, 0],
    );
  });

  it("have language models with the parameters that are published", () => {
    const parameters = Object.fromEntries(
      Object.entries(decoders).map(([name, shape]) => [name, decoderCost(shape).parameters]),
    );
    assert.deepEqual(parameters, {
      "SmolLM2 135M": 134_515_008,
      "Llama 2 7B": 6_738_415_616,
      "Llama 3.1 8B": 8_030_261_248,
      "Llama 3.1 70B": 70_553_706_496,
    });
  });

  it("turn three methods until they take the same", async () => {
    const { network } = unpack(await liveData());
    const floats = 4 * 266_200;
    for (const times of [3, 8, 20]) {
      const bytes = floats / times;
      const sparse = pruned(network, sparsityFor(network, bytes)!);
      const { kept, positions } = bytesTogether(sparse, 32);
      assert.ok(kept + positions <= bytes && kept + positions > bytes - 0.003 * floats, `pruned ${times}`);
      const bits = bitsFor(network, bytes)!;
      assert.ok(quantized(network, bits).bytes <= bytes && quantized(network, bits + 1).bytes > bytes);
      const rank = rankFor(network, bytes);
      const low = (k: number) => 4 * (k * 1084 + 31_000);
      if (rank) assert.ok(low(rank) <= bytes && low(rank + 1) > bytes);
      else assert.ok(low(1) > bytes);
    }
    assert.equal(bitsFor(network, floats / 33), undefined);
    for (const [times, values] of [
      [5, 64],
      [7, 16],
      [15, 4],
    ]) {
      assert.equal(clustersFor(network, floats / times), values);
      const shared = clustered(network, values);
      assert.ok(shared.bytes <= floats / times, `${values} values`);
      for (const { name, weights } of shared.network) assert.equal(new Set(weights).size, values, name);
    }
    assert.equal(clustersFor(network, floats / 33), undefined);
  });

  it("count LeNet-5 with fewer filters as the library does, and keep the largest", async () => {
    const model = await loadPretrained("lenet-5");
    const masks = (count: number, kept: number) =>
      Uint8Array.from({ length: count }, (_, i) => Number(i < kept));
    for (const [first, second] of [
      [20, 50],
      [8, 15],
    ]) {
      const smaller = pruneGroups(model, { conv1: masks(20, first), conv2: masks(50, second) });
      const { parameters, macs } = costOf(layerShapesOf(smaller));
      assert.deepEqual(lenet5With(first, second), { parameters, macs });
      smaller.dispose();
    }
    const { conv1, conv2 } = unpack(await liveData()).kernels;
    const own = weightsOfModel(model).conv2;
    assert.ok(
      conv2.values.every((value, i) => Math.abs(value - own[i]) <= 2 ** -11 * Math.abs(own[i]) + 2 ** -25),
    );
    assert.deepEqual(filtersLeft(conv1, 0), { left: 20, norm: 1 });
    const half = filtersLeft(conv2, 0.5);
    assert.ok(half.left === 25 && half.norm > 0.5 && half.norm < 1);
    model.dispose();
  });

  it("write the record as its file, byte for byte, and fewer weights on fewer levels in fewer bytes", async () => {
    const { record: bytes, digits } = unpack(await liveData());
    const { slim } = await loadRecord("compact-lenet-300-100");
    assert.deepEqual(bytes, slim, "the file that the chapter takes apart");
    const record = decodeSlim(bytes);
    assert.deepEqual(written(fewerOf(record, 1, 4), "version 2"), bytes);
    const few = subset((await loadDataset("mnist-10k")).validation, digits.labels.length, 1);
    const { model } = await modelOfSlim(bytes);
    assert.equal(rightOf(networkOfSlim(record), digits), (await evaluate(model, few)).correct);
    model.dispose();
    const kept = (file: Uint8Array) => {
      const weights = Object.entries(slimWeights(decodeSlim(file))).filter(([name]) => /kernel/.test(name));
      return weights.map(([, values]) => values.filter((w) => w !== 0));
    };
    const half = fewerOf(record, 0.5, 2);
    for (const codec of codecs) {
      const file = written(half, codec);
      assert.deepEqual(slimWeights(decodeSlim(file)), slimWeights(half), codec);
      assert.equal(
        bytesByPart(file).reduce((sum, part) => sum + part.bytes, 0),
        file.length,
      );
    }
    const [before, after] = [kept(bytes), kept(written(half, "version 2"))];
    const count = (layers: Float32Array[]) => layers.reduce((sum, { length }) => sum + length, 0);
    assert.ok(Math.abs(count(after) - count(before) / 2) <= 1);
    // ±1 and ±2, of which a layer may keep the large ones alone.
    const levels = after.map((layer) => new Set(layer).size);
    assert.ok(levels.every((n) => n <= 4) && levels.includes(4), `${levels}`);
  });

  it("run the recipe's file from storage as TensorFlow.js runs it, and make it smaller", async () => {
    const { recipe: bytes, garments } = unpack(await liveData());
    const recipe = decodeSlim(bytes);
    const few = subset((await loadDataset("fashion-10k")).validation, garments.labels.length, 1);
    assert.deepEqual(garments.labels, [...few.labels]);
    assert.deepEqual(encodeSlim(recipe, { version: 2 }), bytes);
    for (const changed of [recipe, smallerOf(recipe, { removed: { fc1: 0.2, conv2: 0.1 }, values: 8 })]) {
      const { model } = await modelOfSlim(encodeSlim(changed));
      const { logits } = await predict(model, few);
      const { scores } = askAll(storedLenet5(changed), garments);
      for (const [i, own] of scores.entries()) {
        const theirs = logits.slice(10 * i, 10 * i + 10);
        const most = Math.max(...theirs);
        const sum = theirs.reduce((all, z) => all + Math.exp(z - most), 0);
        assert.ok(own.every((p, c) => Math.abs(p - Math.exp(theirs[c] - most) / sum) < 1e-4));
      }
      model.dispose();
    }
    const unchanged = smallerOf(recipe, { removed: {}, values: 64 });
    assert.deepEqual(slimWeights(unchanged), slimWeights(recipe));
    const smaller = slimWeights(smallerOf(recipe, { removed: { fc1: 0.5 }, values: 4 }));
    for (const [name, values] of Object.entries(smaller)) {
      if (!name.endsWith("/kernel")) continue;
      const left = values.filter((w) => w !== 0);
      const all = slimWeights(recipe)[name].filter((w) => w !== 0);
      assert.ok(new Set(left).size <= 4, name);
      const share = name === "fc1/kernel" ? 0.5 : 1;
      assert.ok(Math.abs(left.length - share * all.length) <= 1, name);
    }
  });

  it("spend a budget as no other choice of widths does better", async () => {
    const { network, digits } = unpack(await liveData());
    const few = { images: digits.images.slice(0, 20), labels: digits.labels.slice(0, 20) };
    const layers = widthsOf(network, few);
    // The divergence once more, by its definition.
    const scores = (image: Float32Array, one = network) => {
      const z = logitsOf(one, image);
      const sum = z.reduce((all, x) => all + Math.exp(x), 0);
      return z.map((x) => Math.exp(x) / sum);
    };
    const two = inWidths(network, layers, { picks: [0, 0, 0] });
    const expected = few.images.map((image) => {
      const [p, q] = [scores(image), scores(image, two)];
      return p.reduce((sum, each, c) => sum + each * Math.log(each / q[c]), 0);
    });
    const mean = expected.reduce((sum, x) => sum + x, 0) / 20;
    assert.ok(Math.abs(divergence(network, two, few) - mean) < 1e-3 * mean);
    for (const times of [4, 7, 15]) {
      const bytes = floatBytes(network) / times;
      const chosen = allocate(layers, bytes);
      let least = Number.POSITIVE_INFINITY;
      for (const a of layers[0])
        for (const b of layers[1])
          for (const c of layers[2])
            if (a.bytes + b.bytes + c.bytes <= bytes) least = Math.min(least, a.cost + b.cost + c.cost);
      assert.ok(chosen.bytes <= bytes && Math.abs(chosen.cost - least) < 1e-9, `${times}`);
      const same = oneWidth(layers, bytes)!;
      const bits = widths[same.picks[0]];
      assert.equal(same.bytes, quantized(network, bits).bytes);
      const next = widths[same.picks[0] + 1];
      assert.ok(same.bytes <= bytes && (next === undefined || quantized(network, next).bytes > bytes));
    }
    assert.equal(oneWidth(layers, 60_000), undefined);
  });

  it("take a drawing as MNIST took its digits", async () => {
    const { network, digits } = unpack(await liveData());
    // Each pixel as a square of ten: what comes back is the digit again.
    const answers = digits.images.slice(0, 40).map((image) => {
      const drawing = new Float32Array(280 * 280);
      for (let i = 0; i < drawing.length; i++)
        drawing[i] = image[28 * Math.floor(Math.floor(i / 280) / 10) + Math.floor((i % 280) / 10)];
      return answerOf(logitsOf(network, asDigit(drawing, 280))) === answerOf(logitsOf(network, image));
    });
    assert.ok(answers.filter(Boolean).length >= 38, `${answers.filter(Boolean).length} of 40`);
    assert.ok(asDigit(new Float32Array(100), 10).every((value) => value === 0));
    // A dot goes into the middle, wherever it was drawn.
    const dot = new Float32Array(100);
    dot[7] = 1;
    const ink = asDigit(dot, 10);
    const mass = ink.reduce((sum, value) => sum + value, 0);
    const across = ink.reduce((sum, value, i) => sum + value * ((i % 28) + 0.5), 0) / mass;
    assert.ok(Math.abs(across - 14) <= 1, `${across}`);
  });

  it("are asked for by a tag, and one that there is not is named", () => {
    assert.equal(liveFigureOf(["exercise", "live-rank"]), "rank");
    assert.equal(liveFigureOf(undefined), undefined);
    assert.throws(() => liveFigureOf(["live-dance"]), /there is no live figure dance; there are prune, /);
  });

  it("compute in Chromium as they are moved, from a folder, in both languages", async function () {
    if (!browserPath()) {
      console.log("      (no Chromium here: skipped)");
      this.skip();
    }
    const folder = await mkdtemp(join(tmpdir(), "slimlab-live-"));
    const cells = [...liveFigures, "dance"].map((name) => code(`"${name}"`, [], [`live-${name}`]));
    try {
      await save(join(folder, "in", "1.1-live.ipynb"), notebook(markdown("# 1.1 Live · 活"), ...cells));
      await save(join(folder, "in", "zh", "1.1-live.ipynb"), notebook(markdown("# 1.1 活 · Live"), ...cells));
      await buildBook({
        notebooks: join(folder, "in"),
        executed: join(folder, "none"),
        output: join(folder, "book"),
      });
      assert.match(
        await readFile(join(folder, "book", "1.1-live.html"), "utf8"),
        /there is no live figure dance/,
      );
      const browser = await startBrowser();
      try {
        for (const page of ["1.1-live.html", "zh/1.1-live.html"]) {
          const tab = await browser.newPage({ viewport: { width: 390, height: 844 } });
          const troubles: string[] = [];
          tab.on("console", (message) => message.type() === "error" && troubles.push(message.text()));
          tab.on("pageerror", (error) => troubles.push(error.message));
          await tab.goto(`${pathToFileURL(join(folder, "book"))}/${page}`);
          for (const name of liveFigures) {
            const place = tab.locator(`div.live[data-live="${name}"]`);
            await place.scrollIntoViewIfNeeded();
            const knob = place.locator("input[type=range]").first();
            await knob.waitFor();
            const read = () => place.locator("figcaption, dl").allTextContents();
            const before = await read();
            await knob.focus();
            await knob.press(name === "temperature" || name === "garments" ? "End" : "Home");
            await tab.waitForFunction(
              ([selector, old]) =>
                [...document.querySelectorAll(`${selector} :is(figcaption, dl)`)]
                  .map((e) => e.textContent)
                  .join() !== old,
              [`div.live[data-live="${name}"]`, before.join()],
            );
            const after = (await read()).join(" ");
            if (page.startsWith("zh")) {
              assert.match(after, /\p{Script=Han}/u, name);
              const whole = (await place.allInnerTexts()).join("\n");
              assert.doesNotMatch(whole, /\p{Script=Han}[:;,]|[:;,] ?\p{Script=Han}/u, name);
            }
            assert.doesNotMatch(after, /undefined|NaN/, name);
          }
          const wide = await tab.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
          assert.ok(wide <= 0, "scrolls sideways on a phone");
          assert.deepEqual(troubles, []);
          await tab.close();
        }
      } finally {
        await browser.close();
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
