export * from "./factorize.ts";
export * from "./randomized.ts";
export * from "./rank.ts";
export { transpose } from "./rows.ts";
export * from "./svd.ts";
export * from "./tensor.ts";
