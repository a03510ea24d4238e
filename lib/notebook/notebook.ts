// Notebooks as files: read with checks, named, put in order.
import { existsSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { type Language, languageOfFolder, languages } from "../texts/language.ts";
import { shown } from "../util/check.ts";
import { packageRoot } from "../util/files.ts";
import type { Output } from "../util/nbformat.ts";

export type { Output } from "../util/nbformat.ts";

/** A cell of a notebook. */
export interface Cell {
  cell_type: "markdown" | "code" | "raw";
  id?: string;
  source: string | string[];
  metadata: { tags?: string[] } & Record<string, unknown>;
  outputs?: Output[];
  execution_count?: number | null;
  attachments?: Record<string, Record<string, string>>;
}

/** A notebook of nbformat 4. */
export interface Notebook {
  nbformat: 4;
  nbformat_minor: number;
  metadata: { kernelspec?: { name: string; display_name?: string; language?: string } } & Record<
    string,
    unknown
  >;
  cells: Cell[];
}

export { type Language, languages };

/**
 * Reads a notebook.
 *
 * @throws Error that names the file, where it is missing, not JSON, not nbformat 4, or misshapen
 */
export async function readNotebook(path: string): Promise<Notebook> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(code === "ENOENT" ? `${path} does not exist` : `${path} cannot be read (${code})`);
  }
  return parseNotebook(text, path);
}

/**
 * A notebook from its text; an UTF-8 byte-order mark is passed over.
 *
 * @param path what messages call it
 * @throws Error that names it, where it is empty, not JSON, not nbformat 4, or misshapen
 */
export function parseNotebook(text: string, path: string): Notebook {
  if (text.trim() === "") throw new Error(`${path} is empty: was it uploaded to its end?`);
  let notebook: Notebook;
  try {
    notebook = JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    throw new Error(`${path} is not JSON, so not a notebook: ${(error as Error).message}`);
  }
  if (typeof notebook !== "object" || notebook === null || Array.isArray(notebook)) {
    throw new Error(`${path} is not a notebook: it holds ${shown(notebook)}`);
  }
  if (notebook.nbformat !== 4) {
    const isOld = typeof notebook.nbformat === "number" && notebook.nbformat < 4;
    const remedy = isOld ? "; opening and saving it in JupyterLab converts it" : "";
    throw new Error(`${path} must be of notebook format 4, got ${shown(notebook.nbformat)}${remedy}`);
  }
  if (!Array.isArray(notebook.cells)) throw new Error(`${path} has no list of cells`);
  for (const [i, cell] of notebook.cells.entries()) {
    const isText = typeof cell?.source === "string" || Array.isArray(cell?.source);
    if (!isText || !["markdown", "code", "raw"].includes(cell.cell_type)) {
      throw new Error(`${path} has a misshapen cell: number ${i + 1} needs cell_type and source`);
    }
    if (!isObject(cell.metadata)) cell.metadata = {};
    if (!Array.isArray(cell.metadata.tags)) delete cell.metadata.tags;
    if (cell.cell_type === "code" && !Array.isArray(cell.outputs)) cell.outputs = [];
  }
  if (!isObject(notebook.metadata)) notebook.metadata = {};
  return notebook;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Throws unless the notebook says that it is for a kernel of our language. */
export function checkKernel(path: string, notebook: Notebook): void {
  const spec = notebook.metadata.kernelspec;
  if (!spec?.name) {
    throw new Error(
      `${path} has no kernelspec: open it in JupyterLab, choose the kernel "TypeScript (slimlab)" and save it`,
    );
  }
  const known = ["slimlab", "tslab", "jslab", "deno"].includes(spec.name);
  if (!known && !/^(type|java)script$/i.test(spec.language ?? "")) {
    throw new Error(`${path} is for the kernel ${shown(spec.name)}: slimlab runs TypeScript notebooks`);
  }
}

/** Notebook text, which may be stored as a list of lines. */
export function textOf(source: unknown): string {
  return Array.isArray(source) ? source.join("") : typeof source === "string" ? source : "";
}

/** A notebook of the book. */
export interface Chapter {
  path: string;
  language: Language;
  /** File name without the ending: the page's name. */
  slug: string;
  /** The file name's leading number, such as `3.1.1`; empty where there is none. */
  number: string;
}

/** The folder of the notebooks: here, or the package's own. */
export function defaultNotebooks(): string {
  return existsSync("notebooks") ? "notebooks" : join(packageRoot, "notebooks");
}

/** The notebooks of a folder, English first and then `zh/`, each in the order of their numbers. */
export async function findChapters(folder: string): Promise<Chapter[]> {
  if (!(await stat(folder).catch(() => undefined))?.isDirectory()) {
    throw new Error(`there is no folder of notebooks at ${folder}`);
  }
  const chapters: Chapter[] = [];
  for (const language of languages) {
    const place = language === "en" ? folder : join(folder, language);
    const names = await readdir(place).catch(() => [] as string[]);
    const found = names
      .filter((name) => name.endsWith(".ipynb") && !name.startsWith("."))
      .map((name) => chapterOf(join(place, name)));
    chapters.push(...found.sort(byNumber));
  }
  return chapters;
}

/** The chapter that a path stands for; what lies in a folder `zh` is Chinese. */
export function chapterOf(path: string): Chapter {
  const slug = basename(path).replace(/\.ipynb$/, "");
  const language = languageOfFolder(dirname(resolve(path)));
  return { path, language, slug, number: /^\d+(\.\d+)*/.exec(slug)?.[0] ?? "" };
}

/** Orders by section number, part by part (3.1.10 after 3.1.9); what has none comes last. */
export function byNumber(a: { number: string; slug: string }, b: { number: string; slug: string }): number {
  if (!a.number || !b.number) {
    return Number(!a.number) - Number(!b.number) || (a.slug < b.slug ? -1 : 1);
  }
  const left = a.number.split(".").map(Number);
  const right = b.number.split(".").map(Number);
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    if ((left[i] ?? -1) !== (right[i] ?? -1)) return (left[i] ?? -1) - (right[i] ?? -1);
  }
  return a.slug < b.slug ? -1 : a.slug > b.slug ? 1 : 0;
}

/** The first heading, without its section number; the file name where there is none. */
export function titleOf(notebook: Notebook, slug: string): string {
  for (const cell of notebook.cells) {
    const heading = cell.cell_type === "markdown" && /^#\s+(.+)$/m.exec(textOf(cell.source));
    if (heading) return heading[1].replace(/^\d+(\.\d+)*\.?\s+/, "").replace(/\s*#*\s*$/, "");
  }
  return slug.replace(/^\d+(\.\d+)*-?/, "").replaceAll("-", " ");
}

/** A heading in both languages, "Weight pruning · 权重剪枝", in the one that is asked for. */
export function titleIn(language: Language, title: string): string {
  const parts = title.split(/\s+·\s+/);
  const chinese = parts.filter((part) => /\p{Script=Han}/u.test(part));
  const latin = parts.filter((part) => !/\p{Script=Han}/u.test(part));
  const wanted = language === "zh" ? chinese : latin;
  return wanted.length > 0 ? wanted.join(" · ") : title;
}
