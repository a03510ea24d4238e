// What cells can use without an import, as TypeScript declarations for the language service.
// A string, because tsc does not copy .d.ts files to dist, and only dist is published.

/** On any ground. */
const sharedGlobals = `
/** What \`display\` takes beside the value. */
interface DisplayOptions {
  /** The value is a MIME bundle already: \`{ "text/html": "<b>bold</b>" }\`. */
  raw?: boolean;
  /** A name for the output, by which it can be replaced. */
  display_id?: string;
  /** Replaces the outputs of that name instead of adding one. */
  update?: boolean;
  metadata?: Record<string, unknown>;
}

/** An output that has been shown and can be replaced. */
interface DisplayHandle {
  readonly id: string;
  /** Shows a value in the place of what was shown. */
  update(value: unknown, options?: Pick<DisplayOptions, "raw" | "metadata">): void;
}

/**
 * Shows a value below the cell, as the cell's last expression would be shown.
 *
 * A value with a method \`[Symbol.for("Jupyter.display")]()\` answers its own MIME bundle, or a promise of one. The
 * handle that is returned can replace the output later, even from a timer or another cell.
 */
declare function display(value: unknown, options?: DisplayOptions): DisplayHandle;
declare namespace display {
  /** Shows HTML. */
  function html(text: string): DisplayHandle;
  /** Shows Markdown. */
  function markdown(text: string): DisplayHandle;
  /** Shows LaTeX: \`$e = mc^2$\`. */
  function latex(text: string): DisplayHandle;
  /** Shows an SVG drawing. */
  function svg(text: string): DisplayHandle;
  /** Shows text as it is. */
  function text(text: string): DisplayHandle;
  /** Runs JavaScript in the browser. */
  function javascript(text: string): DisplayHandle;
  /** Shows a JSON value as a tree. */
  function json(value: unknown): DisplayHandle;
  /** Shows a PNG, JPEG, GIF or WebP image from its bytes. */
  function image(bytes: Uint8Array): DisplayHandle;
  /** Removes the cell's outputs; with \`wait: true\` when the next one comes, so that nothing flickers. */
  function clear(options?: { wait?: boolean }): void;
}

/**
 * Asks the person at the notebook for a line of text; null when there is nobody to ask.
 * @param message what to ask
 * @param fallback the answer when the line stays empty
 */
declare function prompt(message?: string, fallback?: string): string | null;

/**
 * Asks the person at the notebook for a line of text.
 * @param options with \`password: true\` the text is not shown
 */
declare function input(message?: string, options?: { password?: boolean }): string;

interface CommMessage {
  data: Record<string, any>;
  metadata: Record<string, any>;
  buffers: Uint8Array[];
}

/** One line between a cell and the front end. Either side may open it, send on it, and close it. */
interface Comm {
  readonly id: string;
  readonly target: string;
  readonly isOpen: boolean;
  onMessage: ((message: CommMessage) => unknown) | undefined;
  onClose: ((message: CommMessage) => unknown) | undefined;
  send(data: object, options?: { metadata?: object; buffers?: Uint8Array[] }): void;
  close(data?: object): void;
}

/** Jupyter's comms: messages between cells and the front end's own code. */
declare const comms: {
  /** Opens a comm to the front end's \`target\`. */
  open(target: string, data?: object, options?: { id?: string; metadata?: object; buffers?: Uint8Array[] }): Comm;
  /** Names a target that the front end may open. */
  register(target: string, onOpen: (comm: Comm, message: CommMessage) => unknown): void;
  unregister(target: string): void;
  get(id: string): Comm | undefined;
};

/** The last result that a cell has shown. */
declare var _: any;
/** The result before the last. */
declare var __: any;
/** The one before that. */
declare var ___: any;
/** What cells have shown, by their numbers: \`Out[3]\` is cell 3's result. The last hundred are kept. */
declare var Out: Record<number, any>;

declare module "tslab" {
  interface TslabDisplay {
    javascript(s: string): void;
    html(s: string): void;
    markdown(s: string): void;
    latex(s: string): void;
    svg(s: string): void;
    png(b: Uint8Array): void;
    jpeg(b: Uint8Array): void;
    gif(b: Uint8Array): void;
    pdf(b: Uint8Array): void;
    text(s: string): void;
    raw(contentType: string, b: string | Uint8Array): any;
  }
  /** An output that each call overwrites. */
  export function newDisplay(): TslabDisplay;
  export const display: TslabDisplay;
  export const versions: { tslab: string; typescript: string; node: string };
}
`;

/** With Node's modules, which cells can use by their names. */
export const machineGlobals = `${sharedGlobals}
/** Node has it; its types are in the DOM's library, which cells leave out because Node has no DOM. */
declare namespace WebAssembly {
  type ImportValue = Function | Global | Memory | Table | number;
  type Imports = Record<string, Record<string, ImportValue>>;
  interface Module { readonly kind?: never }
  const Module: {
    new (bytes: BufferSource): Module;
    exports(module: Module): { name: string; kind: string }[];
    imports(module: Module): { module: string; name: string; kind: string }[];
    customSections(module: Module, name: string): ArrayBuffer[];
  };
  interface Instance { readonly exports: Record<string, any> }
  const Instance: new (module: Module, imports?: Imports) => Instance;
  interface Memory { readonly buffer: ArrayBuffer; grow(pages: number): number }
  const Memory: new (descriptor: { initial: number; maximum?: number; shared?: boolean }) => Memory;
  interface Table { readonly length: number; get(index: number): any; set(index: number, value?: any): void; grow(by: number, value?: any): number }
  const Table: new (descriptor: { element: "anyfunc" | "externref"; initial: number; maximum?: number }, value?: any) => Table;
  interface Global<T = any> { value: T; valueOf(): T }
  const Global: new <T = any>(descriptor: { value: string; mutable?: boolean }, value?: T) => Global<T>;
  type BufferSource = ArrayBuffer | ArrayBufferView;
  const CompileError: ErrorConstructor;
  const LinkError: ErrorConstructor;
  const RuntimeError: ErrorConstructor;
  function validate(bytes: BufferSource): boolean;
  function compile(bytes: BufferSource): Promise<Module>;
  function compileStreaming(source: Response | Promise<Response>): Promise<Module>;
  function instantiate(bytes: BufferSource, imports?: Imports): Promise<{ module: Module; instance: Instance }>;
  function instantiate(module: Module, imports?: Imports): Promise<Instance>;
}

/**
 * Forgets the project's own modules, so that the next import reads them anew: after an edit of \`./model.ts\`, run
 * \`reload()\` and the cells that import it. Packages in node_modules stay.
 */
declare function reload(): void;

declare const assert: typeof import("node:assert");
declare const async_hooks: typeof import("node:async_hooks");
declare const buffer: typeof import("node:buffer");
declare const child_process: typeof import("node:child_process");
declare const cluster: typeof import("node:cluster");
declare const dgram: typeof import("node:dgram");
declare const diagnostics_channel: typeof import("node:diagnostics_channel");
declare const dns: typeof import("node:dns");
declare const events: typeof import("node:events");
declare const fs: typeof import("node:fs");
declare const http: typeof import("node:http");
declare const http2: typeof import("node:http2");
declare const https: typeof import("node:https");
declare const net: typeof import("node:net");
declare const os: typeof import("node:os");
declare const path: typeof import("node:path");
declare const perf_hooks: typeof import("node:perf_hooks");
declare const querystring: typeof import("node:querystring");
declare const readline: typeof import("node:readline");
declare const stream: typeof import("node:stream");
declare const string_decoder: typeof import("node:string_decoder");
declare const timers: typeof import("node:timers");
declare const tls: typeof import("node:tls");
declare const tty: typeof import("node:tty");
declare const url: typeof import("node:url");
declare const util: typeof import("node:util");
declare const v8: typeof import("node:v8");
declare const vm: typeof import("node:vm");
declare const worker_threads: typeof import("node:worker_threads");
declare const zlib: typeof import("node:zlib");

interface ImportMeta {
  url: string;
  dirname: string;
  filename: string;
  resolve(specifier: string): string;
}
`;

/** With what a worker on a page has beside its own. */
export const pageGlobals = `${sharedGlobals}
interface ImportMeta {
  url: string;
}

/** What is left of Node's process: settings, text, and the end of a cell. */
declare const process: {
  env: Record<string, string | undefined>;
  argv: string[];
  platform: string;
  versions: Record<string, string | undefined>;
  cwd(): string;
  exit(code?: number): never;
  stdout: { write(text: string): boolean };
  stderr: { write(text: string): boolean };
  on(event: string, listener: (...args: any[]) => void): void;
  once(event: string, listener: (...args: any[]) => void): void;
  off(event: string, listener: (...args: any[]) => void): void;
  listeners(event: string): Function[];
};

/** Says what to write instead: a page has to wait for its modules. */
declare function require(specifier: string): any;

/** What the page has not said is any: the import itself says what there is. */
declare module "*";
`;
