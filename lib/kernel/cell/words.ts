// Names that cells' JavaScript uses and the kernel defines.

/** Names of the functions that cells' rewritten imports call; the kernel defines them as globals. */
export const importFunction = "__slimlab_import";
export const metaName = "__slimlab_meta";
/** Takes functions that have lost their name in their source's text: see run/named.ts. */
export const functionsName = "__slimlab_functions";
/** An object whose every property refuses to be set, as a constant does. */
export const constantName = "__slimlab_constant";
/** Around a cell's result where a compiler follows, which would leave out what it can compute itself. */
export const resultMark = "__slimlab_result";
/** Holds the value of a cell that is the body of a function. */
export const resultName = "__slimlab_value";
