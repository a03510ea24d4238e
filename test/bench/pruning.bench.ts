import { execFileSync } from "node:child_process";
import { globalSparsity, magnitude } from "../../lib/pruning/index.ts";
import { normal, seeded } from "../../lib/util/random.ts";
import type { Row } from "./index.ts";
import { medianTime } from "./median.ts";

export const title = "Pruning (3.1)";

/** NumPy's times on the same numbers, read from standard input; NaN where Python or NumPy is missing. */
function numpy(weights: Float32Array, count: number): { mask: number; sort: number } {
  const script = `
import sys, time, json, numpy as np
w = np.frombuffer(sys.stdin.buffer.read(), dtype=np.float32)
def partition():
    a = np.abs(w)
    return a > np.partition(a, ${count - 1})[${count - 1}]
def sort():
    a = np.abs(w)
    return a > np.sort(a)[${count - 1}]
def t(f, n):
    f(); r = []
    for _ in range(n):
        s = time.perf_counter(); f(); r.append((time.perf_counter() - s) * 1e3)
    return sorted(r)[n // 2]
print(json.dumps({"mask": t(partition, 21), "sort": t(sort, 3)}))`;
  try {
    const python = process.env.SLIMLAB_PYTHON ?? "python3";
    return JSON.parse(
      execFileSync(python, ["-c", script], {
        input: new Uint8Array(weights.buffer),
        stdio: ["pipe", "pipe", "ignore"],
      }).toString(),
    );
  } catch {
    return { mask: Number.NaN, sort: Number.NaN };
  }
}

// Ten to begin with: enough for V8 to have compiled JavaScript and WebAssembly for good.
const median = (work: () => unknown, runs: number) => medianTime(work, runs, 10);

/** The most memory that a process of its own has held while it masked 100 M weights, beyond what Node takes. */
function peakMegabytes(): number {
  const script = `
import { globalSparsity } from ${JSON.stringify(new URL("../../lib/pruning/index.js", import.meta.url).href)};
const before = process.memoryUsage().rss;
const w = new Float32Array(100e6);
for (let i = 0, x = 1; i < w.length; i++) w[i] = ((x = (Math.imul(x, 1664525) + 1013904223) | 0) / 2 ** 31) ** 3;
const { all } = globalSparsity({ all: w }, 0.9, { absolute: true });
if (all.length !== w.length) throw new Error("no mask");
console.log(process.resourceUsage().maxRSS / 1024 - before / 2 ** 20);`;
  return Number(execFileSync(process.execPath, ["--input-type=module", "-e", script]).toString());
}

export async function bench(report: (row: Row) => void): Promise<void> {
  const random = seeded(1);
  const weights = Float32Array.from({ length: 10e6 }, () => normal(random));
  const peers = numpy(weights, 9e6);
  report({
    work: "global magnitude mask, 10 M weights, 90 %",
    ours: median(() => globalSparsity({ weights }, 0.9, { absolute: true }), 21),
    peers: { "NumPy partition": peers.mask, "NumPy sort": peers.sort },
    unit: "ms",
    goal: "at most 1.5 x NumPy partition",
  });
  report({
    work: "the same, scores first, then selection",
    ours: median(() => globalSparsity({ weights: magnitude(weights) }, 0.9), 11),
    peers: { "NumPy partition": peers.mask },
    unit: "ms",
  });
  const { weights: previous } = globalSparsity({ weights }, 0.5, { absolute: true });
  report({
    work: "the same, half pruned before",
    ours: median(
      () => globalSparsity({ weights }, 0.9, { absolute: true, previous: { weights: previous } }),
      7,
    ),
    peers: { "NumPy partition": peers.mask },
    unit: "ms",
  });
  report({
    work: "mask of 100 M weights, peak memory with the input",
    ours: peakMegabytes(),
    peers: { "the input": (100e6 * 4) / 2 ** 20 },
    unit: "MB",
    goal: "at most 2 x the input",
  });
}
