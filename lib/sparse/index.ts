// §3.1.1: sparse storage and calculation, CSR and CSC.

export { bytesOf, checkSparse, denseBytes, type SparseMatrix, toCsc, toCsr, toDense } from "./matrix.ts";
export { matrixTimes, timesMatrix, timesVector, vectorTimes } from "./product.ts";
