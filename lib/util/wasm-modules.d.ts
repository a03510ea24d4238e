// What the build makes of NAME.wat: see wasm.ts.
declare module "*.wasm.js" {
  const bytes: Uint8Array<ArrayBuffer>;
  export default bytes;
}
