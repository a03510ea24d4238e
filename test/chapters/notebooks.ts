// Notebooks for tests, made in place.
import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { Cell, Notebook, Output } from "../../lib/notebook/notebook.ts";

export const kernelspec = { name: "slimlab", display_name: "TypeScript (slimlab)", language: "typescript" };

export function markdown(source: string, tags?: string[]): Cell {
  return { cell_type: "markdown", metadata: tags ? { tags } : {}, source };
}

export function code(source: string, outputs: Output[] = [], tags?: string[]): Cell {
  return { cell_type: "code", metadata: tags ? { tags } : {}, source, execution_count: null, outputs };
}

export function notebook(...cells: Cell[]): Notebook {
  return { nbformat: 4, nbformat_minor: 5, metadata: { kernelspec }, cells };
}

export async function save(path: string, content: Notebook | string): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

/** A value's own MIME bundle as an output, after the trip through JSON that messages make. */
export function shown(value: object): Output {
  const bundle = (value as { [key: symbol]: () => object })[Symbol.for("Jupyter.display")]();
  return { output_type: "display_data", data: JSON.parse(JSON.stringify(bundle)), metadata: {} };
}
