// Trains the networks that ship and writes them with their manifests: `npm run pretrain [NAME...]`, some minutes
// a network.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { loadDataset } from "../../lib/datasets/index.ts";
import { sha256 } from "../../lib/nn/files.ts";
import {
  evaluate,
  lenet5,
  lenet300,
  loadModel,
  type Manifest,
  type PretrainedName,
  pretrainedNames,
  pretrainedSeeds,
  saveModel,
  train,
  useBackend,
} from "../../lib/nn/index.ts";
import { checkOneOf } from "../../lib/util/check.ts";
import { packageRoot, writeFileAtomic } from "../../lib/util/files.ts";

const recipes = {
  "lenet-300-100": { data: "mnist-10k", build: lenet300, epochs: 40, shift: 2, rate: 0.001 },
  "lenet-5": { data: "mnist-10k", build: lenet5, epochs: 15, shift: 2, rate: 0.001 },
  "fashion-lenet-300-100": { data: "fashion-10k", build: lenet300, epochs: 40, shift: 1, rate: 0.001 },
  "fashion-lenet-5": { data: "fashion-10k", build: lenet5, epochs: 30, shift: 1, rate: 0.001 },
} satisfies Record<PretrainedName, object>;

// NAME trains all seeds of a network, NAME:SEED one of them; without a name, all are trained. --measure trains nothing:
// it measures what ships, and writes its manifests anew.
const { values, positionals } = parseArgs({
  options: { measure: { type: "boolean" } },
  allowPositionals: true,
});
const wanted = positionals.map((word) => {
  const [name, seed] = word.split(":");
  return { name: checkOneOf("NAME", name as PretrainedName, pretrainedNames), seed };
});
const backend = await useBackend();
for (const name of pretrainedNames) {
  for (const seed of pretrainedSeeds[name]) {
    const asked = wanted.some((one) => one.name === name && (!one.seed || Number(one.seed) === seed));
    if (wanted.length === 0 || asked) await make(name, seed);
  }
}

async function make(name: PretrainedName, seed: number): Promise<void> {
  const { data: set, build, epochs, shift, rate } = recipes[name];
  const data = await loadDataset(set);
  const folder = join(packageRoot, "datasets", "weights", seed === 1 ? name : `${name}-seed-${seed}`);
  const model = values.measure ? await loadModel(folder) : build(seed);
  if (!values.measure) {
    // No choice is made by looking at other images: the last epoch's weights are the ones that ship.
    await train(model, data.train, {
      seed,
      epochs,
      shift,
      batchSize: 64,
      optimizer: "adam",
      learningRate: (done) => (rate * (1 + Math.cos(Math.PI * done))) / 2,
      progress: true,
    });
    await saveModel(model, folder);
  }
  const validation = await evaluate(model, data.validation);
  const test = await evaluate(model, data.test);
  const files: Record<string, string> = {};
  for (const file of ["model.json", "weights.bin"]) files[file] = sha256(await readFile(join(folder, file)));
  const manifest: Manifest = {
    data: data.name,
    trainImages: data.train.count,
    validationImages: data.validation.count,
    testImages: data.test.count,
    seed,
    epochs,
    batchSize: 64,
    optimizer: "adam",
    learningRate: `${rate}, falling to 0 along half a cosine`,
    augmentation: `each image moved by up to ${shift} pixel${shift === 1 ? "" : "s"} in each direction, anew in each epoch`,
    backend,
    parameters: model.countParams(),
    validationAccuracy: validation.accuracy,
    validationCorrect: validation.correct,
    testAccuracy: test.accuracy,
    testCorrect: test.correct,
    testLoss: Number(test.loss.toFixed(6)),
    files,
  };
  model.dispose();
  await writeFileAtomic(join(folder, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  console.log(`${name}, seed ${seed}: ${test.correct} of ${test.count} test images right`);
}
