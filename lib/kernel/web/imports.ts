// Imports in cells: modules by the names that the site knows, addresses, and files beside the notebook.
import { KernelError } from "../run/errors.ts";

/** Modules that the kernel itself brings. */
export const ownModules = new Map<string, () => unknown>();

function addressOf(specifier: string, modules: Record<string, string>, base: string): string {
  if (/^\.{0,2}\//.test(specifier)) return new URL(specifier, base).href;
  if (/^[a-z][a-z\d+.-]*:/i.test(specifier) && !specifier.startsWith("node:")) return specifier;
  if (Object.hasOwn(modules, specifier)) return new URL(modules[specifier], base).href;
  const known = [...Object.keys(modules), ...ownModules.keys()];
  throw new KernelError(
    "ModuleError",
    specifier.startsWith("node:")
      ? `"${specifier}" is a module of Node's: a browser has none`
      : `there is no module "${specifier}" here; there ${known.length === 0 ? "are none by name" : `are ${known.join(", ")}`}, files ("./data.json") and addresses ("https://…")`,
  );
}

interface ImportOptions {
  with?: { type?: string };
  /** The module is wanted as `require` would give it: `import x = require("…")`. */
  required?: boolean;
}

/** What `require` gives of a module of Node's. */
const whole = (found: unknown): unknown =>
  typeof found === "object" && found !== null && "default" in found ? found.default : found;

/** Makes the function that a cell's imports call. */
export function importer(modules: Record<string, string>, base: string) {
  return async (specifier: unknown, options?: ImportOptions): Promise<unknown> => {
    const own = ownModules.get(String(specifier));
    if (own) return options?.required ? whole(await own()) : own();
    const address = addressOf(String(specifier), modules, base);
    const isJson = options?.with?.type === "json" || /\.json([?#]|$)/.test(address);
    if (!isJson) return import(/* @vite-ignore */ address);
    const response = await fetch(address);
    if (!response.ok)
      throw new KernelError("ModuleError", `${address}: the server answered ${response.status}`);
    const value: unknown = await response.json();
    return options?.required ? value : { default: value };
  };
}

/** In the place of Node's `require`, which does not wait. */
export function refuseRequire(specifier: unknown): never {
  const name = JSON.stringify(String(specifier));
  throw new KernelError(
    "ModuleError",
    `require() does not wait, and a page has to wait for its modules: import x = require(${name}), or await import(${name})`,
  );
}
