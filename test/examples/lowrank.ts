import { factorize, multiplyFactors, svd } from "slimlab/lowrank";

// Two rows of which one is twice the other: one number more than nothing is needed, rank 1.
const w = [1, 2, 3, 2, 4, 6];
console.log([...svd(w, 2, 3).s].map((s) => s.toFixed(3)).join(" ")); // 8.367 0.000
const factors = factorize(w, 2, 3, 1);
console.log([...multiplyFactors(factors)].map(Math.round).join(" ")); // 1 2 3 2 4 6
