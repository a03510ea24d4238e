// The book of a run that lies in files: executed copies and run.json in, the site out.
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { RunReport } from "../notebook/report.ts";
import { packageRoot } from "../util/files.ts";
import { type ReferencePage, referencePages } from "./reference/pages.ts";
import { type Book, type BookOptions, buildBook } from "./site.ts";

/** Builds the book with what the last run reported. */
export async function makeBook(
  notebooks: string,
  executed: string,
  output: string,
  options: Pick<BookOptions, "reference" | "site"> = {},
): Promise<Book> {
  const path = join(executed, "run.json");
  let report: RunReport | undefined;
  if (existsSync(path)) {
    try {
      report = JSON.parse(await readFile(path, "utf8"));
    } catch (error) {
      throw new Error(`${path} is damaged (${(error as Error).message}): slimlab run writes it anew`);
    }
  }
  // A course of one's own has no need of the library's reference.
  const own = resolve(notebooks) === join(packageRoot, "notebooks");
  const reference = options.reference ?? (own ? await referenceOrNone() : []);
  return buildBook({ notebooks, executed, output, report, ...options, reference });
}

/** The book is worth having without its reference, too. */
async function referenceOrNone(): Promise<ReferencePage[]> {
  try {
    return await referencePages();
  } catch (error) {
    console.warn(`the book has no API reference: ${(error as Error).message.split("\n")[0]}`);
    return [];
  }
}

/** What a book lacks, a line each. */
export function troublesOf(book: Book): string[] {
  return [
    ...book.brokenLinks.map((link) => `broken link in ${link}`),
    ...book.leftOut.map((link) => `left out of ${link}`),
  ];
}

/** How to open a book, in two lines. */
export function howToOpen(book: Book): string {
  const served = `npm run slimlab -- book --serve`;
  return `The book: ${relative(process.cwd(), book.index) || book.index}\n  open ${pathToFileURL(book.index)}\n  or   ${served}`;
}
