// Writes prose.txt: what the workbook's English chapters 1 to 3 say, without formulas, code and tables, in ASCII. It is kept
// as it was, for networks and results depend on it: run again after an edit it would be another text.
// npm run build && node dist/datasets/prose/make.js
import { join } from "node:path";
import { findChapters, readNotebook, textOf } from "../../lib/notebook/notebook.ts";
import { packageRoot, writeFileAtomic } from "../../lib/util/files.ts";

const ascii: Record<string, string> = {
  "–": "-",
  "—": "-",
  "‘": "'",
  "’": "'",
  "“": '"',
  "”": '"',
  "…": "...",
  "×": "x",
  "−": "-",
};

function plain(markdown: string): string {
  return markdown
    .replace(/```[\s\S]*?```/g, "")
    .replace(/\$\$[\s\S]*?\$\$/g, "")
    .replace(/<[^>]*>/g, "")
    .split("\n")
    .filter((line) => !line.startsWith("|") && !line.startsWith("#") && !/\$[^$]*\$/.test(line))
    .join("\n")
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/[–—‘’“”…×−]/g, (sign) => ascii[sign])
    .replace(/[*`]/g, "")
    .split("\n")
    .filter((line) => /^[\x20-\x7e]*$/.test(line))
    .join("\n")
    .replace(/\n{3,}/g, "\n\n")
    .trim();
}

const parts: string[] = [];
for (const { language, number, path } of await findChapters(join(packageRoot, "notebooks"))) {
  if (language !== "en" || !/^[123]/.test(number)) continue;
  for (const cell of (await readNotebook(path)).cells)
    if (cell.cell_type === "markdown") parts.push(plain(textOf(cell.source)));
}
const text = `${parts.filter(Boolean).join("\n\n")}\n`;
await writeFileAtomic(join(packageRoot, "datasets", "prose", "prose.txt"), text);
console.log(`${text.length} characters`);
