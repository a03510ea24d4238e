import * as nn from "../dist/lib/nn/index.js";
import { loadDataset } from "../dist/lib/datasets/index.js";
console.log(await nn.useBackend(), nn.describeBackend(), await nn.availableBackends(), nn.tf.getBackend());
const d = await loadDataset("mnist-10k");
console.log(d.train.count, d.test.count);
const m = nn.lenet300(1);
const n0 = nn.tf.memory().numTensors;
const h = await nn.train(m, d.train, {epochs: +process.argv[2]||2, validation: d.test, shift: +process.argv[3]||0, onEpoch: e=>console.log(e.epoch, e.loss.toFixed(4), e.accuracy, e.validation.accuracy, e.seconds.toFixed(2)), learningRate: d => 0.001*(1-d*0.95)});
console.log(nn.tf.memory().numTensors - n0);
