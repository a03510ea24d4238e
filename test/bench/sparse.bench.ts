import { execFileSync } from "node:child_process";
import { tf, useBackend } from "../../lib/nn/index.ts";
import {
  bytesOf,
  denseBytes,
  prepare,
  timesVector,
  toCsc,
  toCsr,
  vectorTimes,
} from "../../lib/sparse/index.ts";
import { normal, seeded } from "../../lib/util/random.ts";
import type { Row } from "./index.ts";
import { medianTime } from "./median.ts";

export const title = "Sparse matrices (3.1.1)";

/** SciPy's times for CSR and CSC times vector on the same matrix; NaN where Python or SciPy is missing. */
function scipy(dense: Float32Array, size: number): { csr: number; csc: number } {
  const script = `
import sys, time, json, numpy as np
from scipy import sparse
a = np.frombuffer(sys.stdin.buffer.read(), dtype=np.float32).reshape(${size}, ${size})
x = np.random.default_rng(1).normal(size=${size}).astype(np.float32)
def t(m):
    r = []
    for _ in range(60):
        s = time.perf_counter(); m @ x; r.append((time.perf_counter() - s) * 1e3)
    return sorted(r)[30]
print(json.dumps({"csr": t(sparse.csr_matrix(a)), "csc": t(sparse.csc_matrix(a))}))`;
  try {
    const python = process.env.SLIMLAB_PYTHON ?? "python3";
    return JSON.parse(
      execFileSync(python, ["-c", script], {
        input: new Uint8Array(dense.buffer),
        stdio: ["pipe", "pipe", "ignore"],
      }).toString(),
    );
  } catch {
    return { csr: Number.NaN, csc: Number.NaN };
  }
}

const median = (work: () => unknown, runs = 60) => medianTime(work, runs, 20);

export async function bench(report: (row: Row) => void): Promise<void> {
  await useBackend();
  const size = 4096;
  const random = seeded(1);
  const dense = Float32Array.from({ length: size * size }, () => (random() < 0.08 ? normal(random) : 0));
  const vector = Float32Array.from({ length: size }, () => normal(random));

  const [a, x] = [tf.tensor2d(dense, [size, size]), tf.tensor2d(vector, [size, 1])];
  const tfjs = median(() => {
    const y = tf.matMul(a, x);
    y.dataSync();
    y.dispose();
  });
  const backend = `tfjs dense, ${tf.getBackend()}`;
  tf.dispose([a, x]);
  const { csr, csc } = scipy(dense, size);
  const [rows, cols] = [toCsr(dense, size, size), toCsc(dense, size, size)];
  const peers = { [backend]: tfjs, "SciPy CSR": csr };
  const prepared = prepare(rows);
  report({
    work: "CSR x vector, 4096 x 4096, 92 % sparse, prepared",
    ours: median(() => prepared(vector)),
    peers,
    unit: "ms",
    goal: "a third of tfjs dense",
  });
  report({
    work: "CSR x vector, the same, plain",
    ours: median(() => timesVector(rows, vector)),
    peers,
    unit: "ms",
    goal: "a third of tfjs dense, 1.5 x SciPy",
  });
  report({
    work: "CSC x vector, the same",
    ours: median(() => timesVector(cols, vector)),
    peers: { [backend]: tfjs, "SciPy CSC": csc },
    unit: "ms",
    goal: "1.5 x SciPy",
  });
  report({
    work: "vector x CSC, the same (a dense layer)",
    ours: median(() => vectorTimes(vector, cols)),
    peers,
    unit: "ms",
  });
  report({
    work: "CSR in memory, the same",
    ours: bytesOf(rows) / 2 ** 20,
    peers: { dense: denseBytes(size, size) / 2 ** 20 },
    unit: "MB",
  });
}
