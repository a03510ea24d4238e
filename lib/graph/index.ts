// slimlab/graph: a network as plain data, and one table of layer kinds that all the other rooms ask.
export { type Dependencies, dependenciesOf, type Group, type Site, type WeightAxes } from "./channels.ts";
export { costOf, layerShapesOf } from "./cost.ts";
export { type Folded, foldBatchNorms, normalisationOf } from "./fold.ts";
export {
  type Attributes,
  checkGraph,
  consumersOf,
  type Graph,
  type GraphNode,
  type GraphTensor,
  type GraphWeight,
  producersOf,
  shapeOf,
  sharedNodes,
  weightValues,
} from "./graph.ts";
export {
  type AxisMeaning,
  activationOf,
  axisMeanings,
  channelsLast,
  type Flow,
  findKind,
  flows,
  type GridUse,
  grids,
  hasSoftmax,
  type IntegerKind,
  integerSteps,
  type Kind,
  type KindOptions,
  kindNameOf,
  type LayerKind,
  layerKinds,
  type NodeView,
  outputAxesOf,
  type Product,
  products,
  registerKind,
  type Scaling,
  scalings,
  viewOf,
  type WeightRole,
} from "./kinds.ts";
export {
  activationPlaces,
  balancedPairs,
  finalActivation,
  fusedWith,
  type KernelPlace,
  kernelPlaces,
  uncovered,
} from "./questions.ts";
export { elementwiseFunctions, outputShapeOf, reductions, type Shape } from "./shapes.ts";
