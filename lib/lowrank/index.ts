export * from "./randomized.ts";
export * from "./svd.ts";
