// The text that language models are measured on here: datasets/prose, what the workbook's chapters say.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { packageRoot } from "../util/files.ts";

/** A text in two parts. */
export interface Prose {
  /** For training, and for looking at what goes into layers. */
  train: string;
  /** For measuring, and for choosing what measures best. */
  validation: string;
}

const checksum = "2994734b5654152a3f4a878060fc963c45d6068ccadfad82a0dacd6294a4af87";

/**
 * The prose that ships with slimlab: 74,074 characters of ASCII, divided for good at the end of a paragraph; the last fifth
 * is for validation.
 *
 * @throws Error when the file is missing, or not the one that shipped
 */
export async function loadProse(): Promise<Prose> {
  const path = join(packageRoot, "datasets", "prose", "prose.txt");
  const text = await readFile(path, "utf8");
  if (createHash("sha256").update(text).digest("hex") !== checksum)
    throw new Error(`${path} is not the text that ships: its checksum differs`);
  const middle = text.indexOf("\n\n", Math.floor(text.length * 0.8)) + 2;
  return { train: text.slice(0, middle), validation: text.slice(middle) };
}
