// The student's values in a check's code: each is asked for where the check uses it, so that one that is not there costs the
// cases that use it and no others.
import { outerUses } from "../../kernel/cell/scope.ts";
import { statementsOf } from "../code.ts";

/** What holds the student's values in the code that the judge runs. */
export const givenName = "slimlabGiven";

/** Code in which each use of a student's name reads it from what holds them; names of scopes within stay as they are. */
export function withGiven(source: string, given: string[]): string {
  const names = new Set(given);
  const body = (statementsOf(source) ?? []).map(({ node }) => node);
  let text = source;
  for (const { node, shorthand, declares } of outerUses(body, (name) => names.has(name)).sort(
    (a, b) => b.node.start - a.node.start,
  )) {
    if (declares) continue;
    const by = `${shorthand ? `${node.name}: ` : ""}${givenName}.${node.name}`;
    text = text.slice(0, node.start) + by + text.slice(node.end);
  }
  return text;
}
