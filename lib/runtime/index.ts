// slimlab/runtime: compressed networks that run as they are stored. `loadStored` of slimlab/nn makes one of a .slim file;
// networks in integers are slimlab/quantization's.
export {
  type KernelForm,
  type KernelSource,
  kernelForms,
  kernelValues,
  type StoredKernel,
  storeKernel,
} from "./kernels.ts";
export { type StoredLayer, type StoredNetwork, storedNetwork } from "./network.ts";
