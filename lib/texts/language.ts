// Which language a notebook speaks: the book's editions have the same code, so nothing in a cell says it.
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** The languages of the book; English is at its root. */
export const languages = ["en", "zh"] as const;
export type Language = (typeof languages)[number];

/** The language of what lies in a folder: `zh` is Chinese, any other folder is English. */
export function languageOfFolder(folder: string): Language {
  return languages.find((language) => language === basename(folder)) ?? "en";
}

/** Where a notebook's language is known from, and where tables of its texts may lie. */
export interface Edition {
  language: Language;
  /** The notebook's folder. */
  folder: string;
}

/**
 * The edition that a kernel runs for: what SLIMLAB_LANGUAGE says; else what the session's notebook says of itself
 * (`metadata.slimlab.language`, which a students' edition carries wherever it is copied); else its folder's name.
 *
 * @param folder the kernel's own, which Jupyter's programs set to the notebook's
 */
export function editionOf(env: Record<string, string | undefined>, folder: string): Edition {
  // Jupyter's server tells a kernel the path of its notebook; a console's session has another name.
  const path = env.JPY_SESSION_NAME;
  const notebook = path?.endsWith(".ipynb") ? path : undefined;
  const own = notebook ? dirname(notebook) : folder;
  const asked = languages.find((language) => language === env.SLIMLAB_LANGUAGE);
  return {
    language: asked ?? (notebook ? ownLanguage(notebook) : undefined) ?? languageOfFolder(own),
    folder: own,
  };
}

/** A notebook's metadata stand at its end, behind the cells: a large one need not be read whole. */
const tail = 4096;

function ownLanguage(path: string): Language | undefined {
  let file: number | undefined;
  try {
    file = openSync(path, "r");
    const { size } = fstatSync(file);
    const bytes = Buffer.alloc(Math.min(size, tail));
    readSync(file, bytes, 0, bytes.length, size - bytes.length);
    const said = /"slimlab":\s*\{[^{}]*"language":\s*"(\w+)"/.exec(bytes.toString())?.[1];
    return languages.find((language) => language === said);
  } catch {
    return undefined; // Not saved yet, or not on this machine: its folder tells.
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** Where an edition's tables lie, beside its notebooks. */
export function tablesOf(folder: string): string {
  return join(folder, "texts");
}
