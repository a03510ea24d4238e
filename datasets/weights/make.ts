// Trains the networks that ship and writes them with their manifests: `npm run pretrain [NAME...]`, some minutes.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { loadDataset } from "../../lib/datasets/index.ts";
import { sha256 } from "../../lib/nn/files.ts";
import {
  evaluate,
  lenet5,
  lenet300,
  type Manifest,
  type PretrainedName,
  pretrainedNames,
  saveModel,
  train,
  useBackend,
} from "../../lib/nn/index.ts";
import { checkOneOf } from "../../lib/util/check.ts";
import { packageRoot, writeFileAtomic } from "../../lib/util/files.ts";

const recipes = {
  "lenet-300-100": { build: lenet300, seed: 1, epochs: 40, shift: 2, rate: 0.001 },
  "lenet-5": { build: lenet5, seed: 1, epochs: 15, shift: 2, rate: 0.001 },
};

const names = process.argv.slice(2) as PretrainedName[];
for (const name of names) checkOneOf("NAME", name, pretrainedNames);
const backend = await useBackend();
const data = await loadDataset("mnist-10k");
for (const name of names.length > 0 ? names : pretrainedNames) {
  const { build, seed, epochs, shift, rate } = recipes[name];
  const model = build(seed);
  // No choice is made by looking at the test images: the last epoch's weights are the ones that ship.
  await train(model, data.train, {
    seed,
    epochs,
    shift,
    batchSize: 64,
    optimizer: "adam",
    learningRate: (done) => (rate * (1 + Math.cos(Math.PI * done))) / 2,
    progress: true,
  });
  const test = await evaluate(model, data.test);
  const folder = join(packageRoot, "datasets", "weights", name);
  await saveModel(model, folder);
  const files: Record<string, string> = {};
  for (const file of ["model.json", "weights.bin"]) files[file] = sha256(await readFile(join(folder, file)));
  const manifest: Manifest = {
    data: data.name,
    trainImages: data.train.count,
    testImages: data.test.count,
    seed,
    epochs,
    batchSize: 64,
    optimizer: "adam",
    learningRate: `${rate}, falling to 0 along half a cosine`,
    augmentation: `each image moved by up to ${shift} pixels in each direction, anew in each epoch`,
    backend,
    parameters: model.countParams(),
    testAccuracy: test.accuracy,
    testCorrect: test.correct,
    testLoss: Number(test.loss.toFixed(6)),
    files,
  };
  await writeFileAtomic(join(folder, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  console.log(`${name}: ${test.correct} of ${test.count} test images right`);
}
