// A stored kernel in a network's memory.
import { entriesOf, entryKinds, gridOfRun, type StoredKernel } from "./kernels.ts";
import type { NetworkMemory } from "./memory.ts";

/** A kernel in a network's memory: its entries are there, what says how to read them is here. */
export interface KeptKernel
  extends Pick<
    StoredKernel,
    "shape" | "units" | "rows" | "run" | "runs" | "starts" | "scales" | "zeros" | "scaleOf"
  > {
  readonly kind: number;
  readonly codes: { readonly at: number };
  readonly table: { readonly at: number };
  readonly rowOf: { readonly at: number };
  /** Bytes of an entry, and of its row; 0 where all are kept. */
  readonly size: number;
  readonly wide: number;
}

export function keepKernel(memory: NetworkMemory, kernel: StoredKernel): KeptKernel {
  const { shape, units, rows, run, runs, starts, scales, zeros, scaleOf, codes, table, rowOf } = kernel;
  return {
    ...{ shape, units, rows, run, runs, scales, zeros, scaleOf },
    ...(starts ? { starts } : {}),
    kind: entryKinds[kernel.kind],
    codes: memory.keep(codes),
    table: memory.keep(table),
    rowOf: memory.keep(rowOf),
    size: codes.BYTES_PER_ELEMENT,
    wide: rowOf?.BYTES_PER_ELEMENT ?? 0,
  };
}

/** One sum a unit: its entries times the numbers at `x`. */
export function unitSum(memory: NetworkMemory, kernel: KeptKernel, unit: number, x: number): number {
  const { kind, codes, rowOf, table, size, wide, run, runs } = kernel;
  let sum = 0;
  for (let r = 0; r < runs; r++) {
    const [from, count] = entriesOf(kernel, unit, r);
    const { scale, zero } = gridOfRun(kernel, unit, r);
    const rows = rowOf.at + from * wide;
    const values = wide === 0 ? x + 4 * r * run : x;
    sum +=
      scale * memory.kernels.dot(codes.at + from * size, kind, rows, wide, count, table.at, zero, values);
  }
  return sum;
}
