// §3.1: pruning. Scores say what matters (importance, filters, neurons), strategies make masks of scores (selection,
// patterns), masks are applied (mask, merge), and all that is repeated (schedule, iterative).

export * from "./filters.ts";
export * from "./importance.ts";
export * from "./iterative.ts";
export * from "./mask.ts";
export * from "./merge.ts";
export * from "./neurons.ts";
export * from "./patterns.ts";
export * from "./schedule.ts";
export * from "./selection.ts";
