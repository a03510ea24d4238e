import { execFileSync } from "node:child_process";
import { loadDataset } from "../../lib/datasets/index.ts";
import {
  calibrateActivations,
  firstOf,
  inputShape,
  integerNetworkOf,
  loadPretrained,
  quantizeWeights,
  tf,
  useBackend,
} from "../../lib/nn/index.ts";
import {
  chooseRange,
  clusterWeights,
  integerMatmul,
  pack,
  packBits,
  packRight,
  quantize,
  runInteger,
  unpack,
  xnorMatmul,
} from "../../lib/quantization/index.ts";
import { normal, seeded } from "../../lib/util/random.ts";
import type { Row } from "./index.ts";
import { medianTime } from "./median.ts";

export const title = "Quantization (3.2)";

const median = (work: () => unknown, runs: number) => medianTime(work, runs, 3);

/** Runs a Python script on numbers from standard input; nothing where Python or a module is missing. */
function python<T>(script: string, input: Float32Array): T | undefined {
  const env = { ...process.env };
  // Where these are set they pin OpenBLAS to slow kernels: the peer must run at its best.
  delete env.OPENBLAS_CORETYPE;
  delete env.OPENBLAS_L2_SIZE;
  try {
    const answer = execFileSync(process.env.SLIMLAB_PYTHON ?? "python3", ["-c", script], {
      input: new Uint8Array(input.buffer),
      env,
      stdio: ["pipe", "pipe", "ignore"],
    });
    return JSON.parse(answer.toString());
  } catch {
    return undefined;
  }
}

/** The most memory that a process of its own has held for some work on 100 M weights, beyond what Node takes. */
function peakMegabytes(work: string): number {
  const script = `
import * as q from ${JSON.stringify(new URL("../../lib/quantization/index.js", import.meta.url).href)};
const before = process.resourceUsage().maxRSS;
const w = new Float32Array(100e6);
for (let i = 0, x = 1; i < w.length; i++) w[i] = ((x = (Math.imul(x, 1664525) + 1013904223) | 0) / 2 ** 31) ** 3;
${work}
console.log((process.resourceUsage().maxRSS - before) / 1024);`;
  return Number(execFileSync(process.execPath, ["--input-type=module", "-e", script]).toString());
}

export async function bench(report: (row: Row) => void): Promise<void> {
  const random = seeded(1);
  const weights = Float32Array.from({ length: 235200 }, () => normal(random));

  const sklearn = python<{ ms: number; inertia: number }>(
    `
import sys, time, json, warnings, numpy as np
from sklearn.cluster import KMeans
warnings.filterwarnings("ignore")
x = np.frombuffer(sys.stdin.buffer.read(), dtype=np.float32).reshape(-1, 1)
r = []
for i in range(3):
    s = time.perf_counter(); k = KMeans(64, n_init=1, random_state=i).fit(x); r.append((time.perf_counter() - s) * 1e3)
print(json.dumps({"ms": sorted(r)[1], "inertia": float(k.inertia_)}))`,
    weights,
  );
  const { inertia } = clusterWeights(weights, { clusters: 64 });
  if (sklearn && inertia > sklearn.inertia) throw new Error(`objective ${inertia} above ${sklearn.inertia}`);
  const objective = sklearn ? `, objective ${(inertia / sklearn.inertia).toFixed(4)} of scikit-learn's` : "";
  report({
    work: `exact k-means, 235,200 weights, K = 64${objective}`,
    ours: median(() => clusterWeights(weights, { clusters: 64 }), 9),
    peers: { "scikit-learn KMeans(n_init=1)": sklearn?.ms ?? Number.NaN },
    unit: "ms",
    goal: "at most a tenth, never a worse objective",
  });
  report({
    work: "Lloyd, the same, linear start",
    ours: median(() => clusterWeights(weights, { clusters: 64, method: "lloyd" }), 9),
    peers: { "scikit-learn KMeans(n_init=1)": sklearn?.ms ?? Number.NaN },
    unit: "ms",
  });

  const n = 1024;
  const a = Int8Array.from({ length: n * n }, () => Math.floor(random() * 255) - 127);
  const b = Int8Array.from({ length: n * n }, () => Math.floor(random() * 255) - 127);
  await useBackend("wasm");
  const [left, right] = [a, b].map((codes) => tf.tensor2d(Float32Array.from(codes), [n, n]));
  const float = median(() => {
    const product = tf.matMul(left, right);
    product.dataSync();
    product.dispose();
  }, 9);
  const peers = {
    [`tfjs float, WASM${tf.env().get("WASM_HAS_MULTITHREAD_SUPPORT") ? ", threads" : ""}`]: float,
  };
  const packed = packRight(b, n, n);
  report({
    work: "integer matmul 8-bit, 1024 cubed, packing of both sides included",
    ours: median(() => integerMatmul(a, b, n, n, n), 9),
    peers,
    unit: "ms",
    goal: "faster",
  });
  report({
    work: "the same, weights packed before",
    ours: median(() => integerMatmul(a, packed, n, n, n), 9),
    peers,
    unit: "ms",
  });
  // The helper thread comes up while the main one waits.
  integerMatmul(a, packed, n, n, n, { threads: 2 });
  await new Promise((resolve) => setTimeout(resolve, 500));
  report({
    work: "the same on two threads",
    ours: median(() => integerMatmul(a, packed, n, n, n, { threads: 2 }), 9),
    peers,
    unit: "ms",
  });
  const [bitsA, bitsB] = [packBits(a, n, n), packBits(b, n, n)];
  report({
    work: "binary matmul by XNOR and popcount, 1024 cubed",
    ours: median(() => xnorMatmul(bitsA, bitsB), 9),
    peers,
    unit: "ms",
  });

  const { test, train } = await loadDataset("mnist-10k");
  for (const name of ["lenet-300-100", "lenet-5"] as const) {
    const model = await loadPretrained(name);
    const images = firstOf(test, 500);
    const pixels = Float32Array.from(images.images, (p) => p / 255);
    const input = tf.tensor(pixels, [images.count, ...inputShape(model)]);
    const activations = await calibrateActivations(model, firstOf(train, 200));
    const floats = median(() => {
      const output = model.predict(input) as tf.Tensor;
      output.dataSync();
      output.dispose();
    }, 9);
    const network = integerNetworkOf(
      model,
      quantizeWeights(model, { bits: 8, keepFloat: { below: 0 } }).quantized,
      activations,
    );
    report({
      work: `${name}, 500 images, 8-bit integers`,
      ours: median(() => runInteger(network, pixels, images.count), 9),
      peers: { "tfjs float, WASM": floats },
      unit: "ms",
      ...(name === "lenet-5" ? { goal: "at most 0.8" } : {}),
    });
  }

  const million = Float32Array.from({ length: 1e6 }, () => normal(random));
  const numpy = python<{ quantize: number; percentile: number }>(
    `
import sys, time, json, numpy as np
w = np.frombuffer(sys.stdin.buffer.read(), dtype=np.float32)
def quantize():
    s = np.abs(w).max() / 127
    return np.clip(np.rint(w / s), -127, 127).astype(np.int8)
def t(f):
    f(); r = []
    for _ in range(9):
        s = time.perf_counter(); f(); r.append((time.perf_counter() - s) * 1e3)
    return sorted(r)[4]
print(json.dumps({"quantize": t(quantize), "percentile": t(lambda: np.percentile(np.abs(w), 99.9))}))`,
    million,
  );
  report({
    work: "quantize 1 M weights to 8 bits",
    ours: median(() => quantize(million, { bits: 8 }), 9),
    peers: { NumPy: numpy?.quantize ?? Number.NaN },
    unit: "ms",
    goal: "at most NumPy's",
  });
  report({
    work: "range by percentile, 1 M weights",
    ours: median(() => chooseRange(million, { bits: 8, scheme: "symmetric", signed: true }, "percentile"), 9),
    peers: { NumPy: numpy?.percentile ?? Number.NaN },
    unit: "ms",
    goal: "at most NumPy's",
  });
  const codes = Int8Array.from(million, (w) => Math.max(-4, Math.min(3, Math.round(w))));
  report({
    work: "pack and unpack 1 M codes of 3 bits",
    ours: median(() => unpack(pack(codes, 3), 3, 1e6, true), 9),
    peers: {},
    unit: "ms",
  });

  const goal = "at most 2 x the input";
  for (const [work, script] of [
    [
      "k-means (Lloyd, K = 64) of 100 M weights",
      'if (q.clusterWeights(w, { clusters: 64, method: "lloyd" }).codes.length !== w.length) throw 0;',
    ],
    [
      "k-means (best splits, K = 64) of 100 M weights",
      "if (q.clusterWeights(w, { clusters: 64 }).codes.length !== w.length) throw 0;",
    ],
    [
      "quantize and pack 100 M weights, 4 bits",
      "if (q.packQuantized(q.quantize(w, { bits: 4 })).bytes.length !== w.length / 2) throw 0;",
    ],
  ]) {
    report({
      work: `${work}, peak memory with the input`,
      ours: peakMegabytes(script),
      peers: { input: 400e6 / 2 ** 20 },
      unit: "MB",
      goal,
    });
  }
}
