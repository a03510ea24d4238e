export * from "./choose-rank.ts";
export * from "./factorize.ts";
export * from "./least-squares.ts";
export * from "./randomized-svd.ts";
export * from "./svd.ts";
export * from "./tucker-cp.ts";
export { transpose } from "./wasm-rows.ts";
