export * from "./svd.ts";
