// The names that a cell under way declares, which may not parse yet.
import { declaredNames } from "../cell/syntax.ts";

/**
 * Names that a cell under way declares at its top level, and whether it has JSX: surely where it can be parsed, else at a
 * glance.
 */
export function declaredRoughly(source: string, cursor: number): { names: Set<string>; jsx: boolean } {
  // A word where the cursor is makes many a cell whole: `a.` and `f(x, ` are missing nothing else.
  const filled = `${source.slice(0, cursor)}_${source.slice(cursor)}`;
  const parsed = declaredNames(source) ?? declaredNames(filled);
  if (parsed) return parsed;
  const rough = new Set<string>();
  for (const [, name] of source.matchAll(
    /\b(?:function\*?|class|enum|namespace|type|interface|using)\s+([\p{ID_Start}$_][\p{ID_Continue}$]*)/gu,
  ))
    rough.add(name);
  // After these words stands a name or a pattern, up to its type or its value.
  for (const { index, 0: keyword } of source.matchAll(/\b(?:let|const|var|import)\b/g)) {
    for (const name of patternNames(source.slice(index + keyword.length, index + 1000), keyword === "import"))
      rough.add(name);
  }
  return { names: rough, jsx: /<\/|\/>/.test(source) && !/<\w+>\w/.test(source) };
}

/** The names that a pattern at the start of a text binds. */
function patternNames(text: string, isImport: boolean): string[] {
  const names: string[] = [];
  let depth = 0;
  const tokens = text.matchAll(/\s+|"[^"]*"|'[^']*'|[\p{ID_Start}$_][\p{ID_Continue}$]*|./gsu);
  let isDefault = false;
  for (const { 0: token, index } of tokens) {
    if (token === "{" || token === "[") depth++;
    else if (token === "}" || token === "]") depth--;
    else if (token === "," || token.trim() === "") isDefault &&= token.trim() === "";
    else if (token === "=" && depth > 0) isDefault = true;
    else if (/^[\p{ID_Start}$_]/u.test(token)) {
      if (isImport && token === "from") break;
      const isKey = /^\s*(:|as\b)/.test(text.slice(index + token.length));
      if (!isDefault && !(isKey && depth > 0) && token !== "as" && !(isImport && token === "type"))
        names.push(token);
    } else if (depth === 0 && token !== "*" && token !== ",") break;
    if (depth < 0) break;
  }
  return names;
}
