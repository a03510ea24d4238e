// §3.3: low rank: singular values, factors of matrices, Tucker and CP decompositions of kernels.
export * from "./choose-rank.ts";
export * from "./factorize.ts";
export * from "./least-squares.ts";
export * from "./randomized-svd.ts";
export * from "./svd.ts";
export * from "./tucker-cp.ts";
export { transpose } from "./wasm-rows.ts";
