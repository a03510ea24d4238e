// What cells can use without an import, as TypeScript declarations for the language service.
// A string, because tsc does not copy .d.ts files to dist, and only dist is published.

export const globalTypes = `
/**
 * Shows a value below the cell, as its last expression would be shown. A value with a method
 * \`[Symbol.for("Jupyter.display")]()\` answers its own MIME bundle.
 * @param value anything; with \`raw: true\` a MIME bundle such as \`{ "text/html": "<b>bold</b>" }\`
 * @param options \`display_id\` names the output, and \`update: true\` replaces the outputs of that name
 */
declare function display(
  value: unknown,
  options?: { raw?: boolean; display_id?: string; update?: boolean; metadata?: Record<string, unknown> },
): Promise<void>;

/** Asks the person at the notebook for a line of text; null when there is nobody to ask. */
declare function prompt(message?: string, defaultValue?: string): Promise<string | null>;

/** Asks the person at the notebook for a line of text. With \`password: true\` the text is not shown. */
declare function input(message?: string, options?: { password?: boolean }): Promise<string>;

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

interface ImportMeta {
  url: string;
  dirname: string;
  filename: string;
  resolve(specifier: string): string;
}
`;
