// Where the compiled code of the kernel's bundles is kept: see load.ts and keep.ts.

/** The environment variable that has a kernel keep what V8 has compiled, at its end. */
export const keepVariable = "SLIMLAB_KEEP_CODE";

/** How the names of what this Node has kept end: no other takes it. */
export const ofThisNode: string = `.${process.version}-${process.arch}.kept`;

/** The name of what this Node keeps of a bundle with this hash. */
export function keptFor(bundle: string, hash: string): string {
  return `${bundle}.${hash}${ofThisNode}`;
}
