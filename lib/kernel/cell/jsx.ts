// How a cell's JSX becomes calls: what its first comments say, else the folder's tsconfig.json, else React's way.
import { leadingComments } from "./tree.ts";

/** What tsconfig.json says of JSX. */
export interface JsxOptions {
  jsx?: string;
  jsxFactory?: string;
  jsxFragmentFactory?: string;
  jsxImportSource?: string;
}

/** What compilerOptions say of JSX. */
export function jsxOptions(compilerOptions: Record<string, unknown>): JsxOptions {
  const options: JsxOptions = {};
  for (const key of ["jsx", "jsxFactory", "jsxFragmentFactory", "jsxImportSource"] as const) {
    const value = compilerOptions[key];
    if (typeof value === "string") options[key] = key === "jsx" ? value.toLowerCase() : value;
  }
  return options;
}

/** How JSX is compiled. */
export interface JsxSettings {
  /** Calls of a package's runtime, which is imported unseen; else of a function that the cell knows. */
  runtime: "automatic" | "classic";
  /** The package. */
  source: string;
  /** The function: `React.createElement`, `h`. */
  factory: string;
  fragment: string;
}

const pragma = /@(jsx|jsxFrag|jsxImportSource|jsxRuntime)\s+([^\s*]+)/g;

/**
 * The settings that count for a cell. `isKnown`: whether cells have declared a name. Where nothing is said, a notebook that
 * has `React` means it, and any other the package of that name.
 */
export function jsxSettings(
  source: string,
  options: JsxOptions,
  isKnown: (name: string) => boolean,
): JsxSettings {
  const said = Object.fromEntries(
    [...leadingComments(source).matchAll(pragma)].map(([, key, value]) => [key, value]),
  ) as Partial<Record<"jsx" | "jsxFrag" | "jsxImportSource" | "jsxRuntime", string>>;
  const saidRuntime =
    said.jsxRuntime ?? (said.jsxImportSource ? "automatic" : said.jsx ? "classic" : undefined);
  const isAutomatic =
    options.jsx === undefined || /^react-jsx/.test(options.jsx) || options.jsx === "preserve";
  const isImplied = options.jsx === undefined && !options.jsxImportSource;
  const folders =
    isAutomatic && !options.jsxFactory && !(isImplied && isKnown("React")) ? "automatic" : "classic";
  return {
    runtime: (saidRuntime ?? folders) === "classic" ? "classic" : "automatic",
    source: said.jsxImportSource ?? options.jsxImportSource ?? "react",
    factory: said.jsx ?? options.jsxFactory ?? "React.createElement",
    fragment: said.jsxFrag ?? options.jsxFragmentFactory ?? "React.Fragment",
  };
}

/** Names that the calls need to be in scope. */
export function jsxNames({ runtime, factory, fragment }: JsxSettings): string[] {
  return runtime === "classic" ? [...new Set([factory, fragment].map((each) => each.split(".")[0]))] : [];
}

/** The same settings as comments at a file's start, as TypeScript reads them. */
export function jsxPragmas({ runtime, source, factory, fragment }: JsxSettings): string {
  return runtime === "classic"
    ? `/** @jsxRuntime classic *//** @jsx ${factory} *//** @jsxFrag ${fragment} */`
    : `/** @jsxRuntime automatic *//** @jsxImportSource ${source} */`;
}

/** The type of every JSX expression. */
export function jsxType({ runtime, source, factory }: JsxSettings): string {
  return runtime === "classic"
    ? `ReturnType<typeof ${factory}>`
    : `import(${JSON.stringify(`${source}/jsx-runtime`)}).JSX.Element`;
}

/** Where a cell's comments speak of JSX, which a compiler would heed as well: the settings above say it all. */
export function pragmaPlaces(source: string): number[] {
  return [...leadingComments(source).matchAll(/@(?=jsx)/g)].map(({ index }) => index);
}

/** What to do where no package is found that makes elements. */
export const jsxHint =
  'JSX needs a package that makes its elements: "npm install react" brings one; a first line like /** @jsxImportSource preact */ or /** @jsx h */, or tsconfig.json, names another';
