import { execFileSync } from "node:child_process";
import { factorize, randomizedSvd, svd } from "../../lib/lowrank/index.ts";
import { normal, seeded } from "../../lib/util/random.ts";
import type { Row } from "./index.ts";
import { median } from "./median.ts";

export const title = "Low rank (3.3)";

function timed(work: () => unknown, runs: number): number {
  work();
  const times: number[] = [];
  for (let i = 0; i < runs; i++) {
    const start = performance.now();
    work();
    times.push(performance.now() - start);
  }
  return median(times);
}

/**
 * NumPy's times on the same numbers, read from standard input; nothing where Python or NumPy is missing.
 *
 * @param threads of its BLAS: by default one a core, where ours is one
 */
function numpy(w: Float32Array, rows: number, cols: number, threads?: number): Record<string, number> {
  const script = `
import sys, time, json, numpy as np
a = np.frombuffer(sys.stdin.buffer.read(), dtype=np.float32).reshape(${rows}, ${cols})
def t(f):
    f(); r = []
    for _ in range(9):
        s = time.perf_counter(); f(); r.append((time.perf_counter() - s) * 1e3)
    return sorted(r)[4]
print(json.dumps({"full": t(lambda: np.linalg.svd(a)), "thin": t(lambda: np.linalg.svd(a, full_matrices=False))}))`;
  const env = { ...process.env };
  if (threads !== undefined) env.OPENBLAS_NUM_THREADS = String(threads);
  // Where these are set they pin OpenBLAS to slow kernels: the peer must run at its best.
  delete env.OPENBLAS_CORETYPE;
  delete env.OPENBLAS_L2_SIZE;
  try {
    const python = process.env.SLIMLAB_PYTHON ?? "python3";
    return JSON.parse(execFileSync(python, ["-c", script], { input: Buffer.from(w.buffer), env }).toString());
  } catch {
    return { full: Number.NaN, thin: Number.NaN };
  }
}

export async function bench(report: (row: Row) => void): Promise<void> {
  const [rows, cols] = [784, 300];
  const random = seeded(1);
  const w = Float32Array.from({ length: rows * cols }, () => normal(random));
  const { Matrix, SVD } = await import("ml-matrix").catch(() => ({ Matrix: undefined, SVD: undefined }));
  const ml = Matrix ? timed(() => new SVD(Matrix.from1DArray(rows, cols, w)), 3) : Number.NaN;
  const { full, thin } = numpy(w, rows, cols);
  const { thin: alone } = numpy(w, rows, cols, 1);
  report({
    work: "SVD, 784 x 300",
    ours: timed(() => svd(w, rows, cols), 5),
    peers: { "ml-matrix": ml, "NumPy thin": thin, "NumPy thin, one thread": alone },
    unit: "ms",
    goal: "a third of ml-matrix, 3 x NumPy thin",
  });
  report({
    work: "rank-50 SVD, 784 x 300",
    ours: timed(() => randomizedSvd(w, rows, cols, 50), 9),
    peers: { "NumPy full": full, "NumPy thin": thin, "NumPy thin, one thread": alone, "ml-matrix": ml },
    unit: "ms",
    goal: "half of NumPy thin",
  });
  report({
    work: "dense layer to two factors, exact, rank 50",
    ours: timed(() => factorize(w, rows, cols, 50), 5),
    peers: { "ml-matrix": ml },
    unit: "ms",
  });
}
