// Uses of names that are not what they seem: they have another name in V8, are what a module's export is now, or are
// constants that something is assigned to.
import type { Draft } from "./draft.ts";
import { newestOf } from "./live.ts";
import { outerUses, type Use } from "./scope.ts";
import { constantName, metaName } from "./words.ts";

/** What modules of Node's CommonJS have as names of their own, and cells have elsewhere. */
const moduleNames = new Map([
  ["__dirname", `${metaName}.dirname`],
  ["__filename", `${metaName}.filename`],
  ["module", `${metaName}.module`],
  ["exports", `${metaName}.module.exports`],
]);

export function rewriteUses(cell: Draft): void {
  const { names, options, references, assigned } = cell;
  const isKnown = (name: string) => names.has(name) || options.names?.kind(name) !== undefined;
  const wanted = new Set<string>();
  for (const name of references) {
    const isWanted =
      names.isRenamed(name) ||
      names.exportOf(name) !== undefined ||
      (moduleNames.has(name) && !isKnown(name)) ||
      (assigned.has(name) && names.isConstant(name));
    if (isWanted) wanted.add(name);
  }
  if (wanted.size === 0) return;
  for (const use of outerUses(cell.tree.body, (name) => wanted.has(name))) {
    if (!cell.placedNames.has(use.node)) rewriteUse(cell, use);
  }
}

function rewriteUse(cell: Draft, { node, shorthand, writes, declares, logical }: Use): void {
  const { names } = cell;
  const { name, start } = node;
  const own = names.inV8(name);
  const moduleName = own === name ? moduleNames.get(name) : undefined;
  const exported = writes || declares ? undefined : names.exportOf(name);
  let text = exported === undefined ? (moduleName ?? own) : newestOf(own, exported);
  if (writes && !declares && names.isConstant(name)) {
    if (logical) {
      // What is not assigned throws nothing: `c ||= 1` of a constant that is true.
      const operator = cell.source.indexOf(logical.operator, node.start + name.length);
      cell.insert(logical.start, "(");
      const sign = logical.operator.slice(0, 2);
      cell.edits.push({ start: operator, end: operator + 3, text: `${sign} (${constantName}.${own} =` });
      cell.insert(logical.end, "))");
    } else text = `${constantName}.${own}`;
  }
  if (text === name) return;
  // (A parameter's or a variable's node ends behind its type.)
  cell.edits.push({ start, end: start + name.length, text: shorthand ? `${name}: ${text}` : text });
}
