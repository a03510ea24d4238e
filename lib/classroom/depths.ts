// JSON may be nested a million deep, and whoever copies or writes that runs out of stack. No program that makes notebooks
// nests more than a dozen: what does so is taken out of a submission, and its code is graded.
import type { Notebook } from "../notebook/notebook.ts";

/** So deep may a notebook's metadata, attachments and outputs be. */
const deepest = 200;

/** Takes out of a notebook what is nested too deep, and says what that was. */
export function withoutDepths(notebook: Notebook): string[] {
  const notes: string[] = [];
  const clear = (object: object, where: string) => {
    for (const [key, value] of Object.entries(object)) {
      if (value === notebook.cells || !isTooDeep(value)) continue;
      const empty = { metadata: {}, source: "", outputs: [] }[key];
      Object.assign(object, { [key]: empty });
      notes.push(`${where}${key.slice(0, 40)} is nested more than ${deepest} deep: left out`);
    }
  };
  clear(notebook, "");
  for (const [i, cell] of notebook.cells.entries()) clear(cell, `cell ${i + 1}: `);
  return notes;
}

/** Without recursion, which is what fails. */
function isTooDeep(value: unknown): boolean {
  let level = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > deepest) return true;
    level = level.flatMap((one) => (typeof one === "object" && one !== null ? Object.values(one) : []));
  }
  return false;
}
