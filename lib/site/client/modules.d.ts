// Names that only the bundler knows: see ../bundle.ts.
declare module "tensorflow-wasm" {
  export * from "@tensorflow/tfjs-backend-wasm";
}
