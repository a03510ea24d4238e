// §3.1.1: sparse storage and calculation, CSR and CSC.

export {
  bytesOf,
  checkSparse,
  convert,
  denseBytes,
  type SparseMatrix,
  toCsc,
  toCsr,
  toDense,
} from "./matrix.ts";
export { prepare } from "./prepared.ts";
export { matrixTimes, timesMatrix, timesVector, vectorTimes } from "./product.ts";
