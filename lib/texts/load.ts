// The tables of an edition: the library's own words, what ships with the book's chapters, and what lies beside the
// notebook, in its folder's `texts`.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../util/files.ts";
import { type Edition, type Language, tablesOf } from "./language.ts";
import { type Table, Texts } from "./texts.ts";
import { zh } from "./zh.ts";

/** The library's own words, by language. */
export const own: Record<Exclude<Language, "en">, Table> = { zh };

const ownOnly = new Map<Language, Texts>();

/** The library's own words alone; undefined for English. */
export function ownTexts(language: Language): Texts | undefined {
  if (language === "en") return undefined;
  const texts = ownOnly.get(language) ?? new Texts(own[language]);
  ownOnly.set(language, texts);
  return texts;
}

/** The texts of an edition; undefined for English, which is what the code says. */
export function textsOf({ language, folder }: Edition): Texts | undefined {
  if (language === "en") return undefined;
  const shipped = tablesOf(join(packageRoot, "notebooks", language));
  const tables = [...new Set([shipped, tablesOf(folder)])].flatMap(tablesIn);
  return new Texts(own[language], ...tables);
}

/** The tables of a folder, in the order of their names. */
export function tablesIn(folder: string): Table[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith(".json"))
    .sort()
    .map((name) => readTable(join(folder, name)));
}

function readTable(path: string): Table {
  let table: unknown;
  try {
    table = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new Error(`${path} is no table of texts: ${(error as Error).message}`);
  }
  const isTable =
    typeof table === "object" &&
    table !== null &&
    Object.values(table).every((text) => typeof text === "string");
  if (!isTable) throw new Error(`${path} is no table of texts: it must hold texts by their English text`);
  return table as Table;
}
