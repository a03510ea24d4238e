// slimlab/graph: a network as plain data, and one table of layer kinds that all the other rooms ask.

export { samePadding } from "../util/window.ts";
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
  axisMeanings,
  type Flow,
  flows,
  type GridUse,
  grids,
  type IntegerKind,
  integerSteps,
  type Kind,
  type NodeView,
  type Product,
  products,
  type Scaling,
  scalings,
  type WeightRole,
} from "./kind.ts";
export {
  activationOf,
  channelsLast,
  findKind,
  hasSoftmax,
  type KindOptions,
  kindNameOf,
  type LayerKind,
  layerKinds,
  outputAxesOf,
  registerKind,
  viewOf,
} from "./kinds.ts";
export {
  activationPlaces,
  type BalancedPair,
  balancedPairs,
  canTakeNorm,
  endsIn,
  finalActivation,
  fusedWith,
  type KernelPlace,
  kernelPlaces,
  outputShapeOf,
  uncovered,
} from "./questions.ts";
export { elementwiseFunctions, pairOf, reductions, type Shape } from "./shapes.ts";
export { splitActivations } from "./split.ts";
