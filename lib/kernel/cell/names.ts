// What the cells so far have declared, as far as a later cell's JavaScript depends on it.
import type { CellCode, Declared, DeclaredKind } from "./code.ts";

/** The names that this place has as globals, by its global object or what that inherits from. */
export function globalNames(): Set<string> {
  const names = new Set<string>();
  for (let at: object | null = globalThis; at && at !== Object.prototype; at = Object.getPrototypeOf(at))
    for (const name of Object.getOwnPropertyNames(at)) names.add(name);
  for (const name of ["undefined", "NaN", "Infinity", "constructor"]) names.delete(name);
  return names;
}

const ownGlobals = globalNames();
// (`var let` is JavaScript, `let let` is not.)
ownGlobals.add("let");

/** Names of other places where JavaScript runs: packages look for them to find out where they are. */
const sniffed = new Set(
  `window document self frames location navigator define exports module require __dirname __filename
  __webpack_require__ __non_webpack_require__ importScripts WorkerGlobalScope DedicatedWorkerGlobalScope
  SharedWorkerGlobalScope ServiceWorkerGlobalScope Worker SharedWorker OffscreenCanvas Deno Bun Meteor chrome browser
  opera MSApp nw phantom jQuery $ Zone angular React Vue Window Document Element Node HTMLElement HTMLCanvasElement
  HTMLImageElement HTMLVideoElement HTMLScriptElement SVGElement Image ImageData ImageBitmap Audio File FileReader
  FileList DOMParser XMLSerializer XMLHttpRequest MutationObserver ResizeObserver IntersectionObserver WebSocket
  EventSource RTCPeerConnection Notification Storage localStorage sessionStorage indexedDB caches alert confirm
  requestAnimationFrame cancelAnimationFrame requestIdleCallback getComputedStyle matchMedia createImageBitmap
  devicePixelRatio CanvasRenderingContext2D WebGLRenderingContext WebGL2RenderingContext GPUBufferUsage GPUMapMode
  ActiveXObject msCrypto`.match(/\S+/g),
);

/**
 * Whether a declaration takes a name that Node has as a global, or that packages look for. V8 keeps cells' names in one
 * scope with every module of the process, so `const performance = 1` would take `performance.now()` from all packages, and
 * `const window = 3` would tell them that they are in a browser: such a name gets another.
 */
export function isTaken(
  { name, value }: Pick<Declared, "name" | "value">,
  globals: ReadonlySet<string> = ownGlobals,
): boolean {
  return value && (globals.has(name) || sniffed.has(name));
}

/** The other name: to the eye the same, by a joiner of no width. */
export function ownName(name: string): string {
  return `${name}\u200d`;
}

/** What cells have declared so far, the newest declaration of each name. */
export class CellNames {
  /** The globals of the place where cells run. */
  readonly globals: ReadonlySet<string>;
  readonly #kinds = new Map<string, DeclaredKind>();
  readonly #renamed = new Set<string>();
  readonly #initialized = new Set<string>();
  readonly #live = new Map<string, string>();
  readonly #variables = new Set<string>();

  constructor(globals: ReadonlySet<string> = ownGlobals) {
    this.globals = globals;
  }

  /** A cell begins to run: from here on its names are there, even if it fails. */
  begin(cell: CellCode): void {
    for (const declared of cell.declared) {
      if (!declared.value) continue;
      const { name, kind } = declared;
      this.#kinds.set(name, kind);
      if (!declared.isProperty) this.#variables.add(name);
      if (declared.live === undefined) this.#live.delete(name);
      else this.#live.set(name, declared.live);
      if (isTaken(declared, this.globals)) this.#renamed.add(name);
      if (!cell.initialized.includes(name)) this.#initialized.delete(name);
    }
    for (const name of cell.initialized) this.#initialized.add(name);
  }

  /** A cell has run to its end: each of its names has its value. */
  finish(cell: CellCode): void {
    for (const { name, value } of cell.declared) if (value) this.#initialized.add(name);
  }

  /** The newest value of a name is of this kind. */
  kind(name: string): DeclaredKind | undefined {
    return this.#kinds.get(name);
  }
  /** The name may be read: it is not one that a failed cell has left without a value. */
  isInitialized(name: string): boolean {
    return this.#initialized.has(name);
  }
  /** The export of one's own module that the name is: see `Declared`. */
  exportOf(name: string): string | undefined {
    return this.#live.get(name);
  }
  /** V8 has a variable of this name, by whichever cell. */
  isVariable(name: string): boolean {
    return this.#variables.has(name);
  }
  /** Cells have this name under another in V8: see `isTaken`. */
  isRenamed(name: string): boolean {
    return this.#renamed.has(name);
  }
}
