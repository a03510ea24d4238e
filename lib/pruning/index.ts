// §3.1: pruning. Scores say what matters (weight-, filter-, neuron-scores), strategies make masks of
// scores (strategies, nm-and-blocks), masks are applied (mask, merge-neurons), and all that is repeated (schedule, iterative).

export * from "./filter-scores.ts";
export * from "./iterative.ts";
export * from "./mask.ts";
export * from "./merge-neurons.ts";
export * from "./neuron-scores.ts";
export * from "./nm-and-blocks.ts";
export * from "./schedule.ts";
export * from "./strategies.ts";
export * from "./weight-scores.ts";
