import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadDataset } from "slimlab/datasets";
import {
  availableBackends,
  evaluate,
  loadPretrained,
  pretrainedManifest,
  pretrainedNames,
  pretrainedSeeds,
  useBackend,
} from "slimlab/nn";
import { loadPretrainedFrom } from "../../lib/nn/pretrained.ts";
import { packageRoot } from "../../lib/util/files.ts";

describe("nn/pretrained: the networks that ship", () => {
  after(async () => {
    await useBackend("wasm");
  });

  const shipped = pretrainedNames.flatMap((name) => pretrainedSeeds[name].map((seed) => ({ name, seed })));
  for (const { name, seed } of shipped) {
    it(`${name}, seed ${seed}, is as good as its manifest says, on every backend here`, async () => {
      const manifest = await pretrainedManifest(name, { seed });
      assert.equal(manifest.seed, seed);
      const data = await loadDataset(manifest.data);
      assert.equal(data.test.count, manifest.testImages);
      assert.equal(data.validation.count, manifest.validationImages);
      for (const backend of await availableBackends()) {
        await useBackend(backend);
        const model = await loadPretrained(name, { seed });
        assert.equal(model.countParams(), manifest.parameters);
        // Plain JavaScript takes half a minute for all test images of a CNN: there, a part must agree image by image.
        const { test } = data;
        const slow = backend === "cpu" && name.endsWith("lenet-5");
        if (backend === "cpu" && seed !== 1) continue; // what backends agree on does not hang on the seed
        const part = slow
          ? {
              ...test,
              count: 100,
              images: test.images.subarray(0, 78400),
              labels: test.labels.subarray(0, 100),
            }
          : test;
        const found = await evaluate(model, part);
        let expected = manifest.testCorrect;
        if (slow) {
          await useBackend("wasm");
          expected = (await evaluate(model, part)).correct;
        }
        assert.ok(
          Math.abs(found.correct - expected) <= 1,
          `${found.correct} right on ${backend}, not ${expected}`,
        );
        if (!slow)
          assert.ok(Math.abs(found.loss - manifest.testLoss) < 1e-4, `loss ${found.loss} on ${backend}`);
        model.dispose();
      }
    });
  }

  it("an unknown name is an error that lists the known ones", async () => {
    await assert.rejects(
      loadPretrained("resnet" as never),
      /name must be one of "lenet-300-100", "lenet-5".*, got "resnet"/,
    );
    await assert.rejects(loadPretrained("lenet-5", { seed: 9 }), /seed of lenet-5 must be one of 1.*, got 9/);
  });

  it("a changed weight is an error that names the file", async () => {
    // A copy of the package's folder with one byte changed, looked at through the same code.
    const folder = await mkdtemp(join(tmpdir(), "slimlab-"));
    try {
      await cp(join(packageRoot, "datasets", "weights"), folder, { recursive: true });
      const path = join(folder, "lenet-300-100", "weights.bin");
      const bytes = await readFile(path);
      bytes[1000] ^= 1;
      await writeFile(path, bytes);
      await assert.rejects(
        loadPretrainedFrom(folder, "lenet-300-100"),
        /weights\.bin was changed or damaged: SHA-256/,
      );
      await rm(path);
      await assert.rejects(loadPretrainedFrom(folder, "lenet-300-100"), /weights\.bin is missing/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
