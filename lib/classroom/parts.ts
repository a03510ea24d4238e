// An exercise cell's checks apart: each with the names that it asks of the student and the statements that it needs, so that
// what is wrong with one exercise costs no other of its cell.
import { isImport, namesOf, type PlacedStatement } from "./code.ts";
import { touchedBy } from "./slice.ts";

/** What is judged at once: a check of a cell, or several that cannot be told apart. */
export interface Part {
  /** The exercises' names, where they stand in the code as literals. */
  names: string[];
  /** Check is called in other ways too: which exercises there are is known when it has run. */
  dynamic: boolean;
  /** The names whose values the student gives. */
  given: string[];
  /** The cell's imports, and what else of its code is needed, without what the student gives. */
  imports: string;
  code: string;
}

/** A statement with what it does to names. */
interface Fact {
  text: string;
  declared: Set<string>;
  references: Set<string>;
  touched: Set<string>;
  isGiven: boolean;
  /** Calls of check: their literal names, and how many have none. */
  checks?: { names: string[]; others: number };
}

const meets = (a: Set<string>, b: Set<string>) => [...a].some((one) => b.has(one));

async function factOf(
  source: string,
  { start, end, node }: PlacedStatement,
  given: Set<string>,
  checksOf: (statement: PlacedStatement) => { names: string[]; others: number },
): Promise<Fact> {
  const text = source.slice(start, end);
  const names = await namesOf(text);
  const declared = names?.declared ?? new Set<string>();
  const found = checksOf({ start, end, node });
  const isShown = /^(?:console\s*\.\s*\w+|display)\s*\(/.test(text);
  return {
    text,
    declared,
    references: names?.references ?? new Set(),
    touched: await touchedBy(node, text, isShown),
    isGiven: meets(declared, given),
    ...((found.names.length > 0 || found.others > 0) && { checks: found }),
  };
}

/** Names that the student gives, and those that are made of them here. */
function taintedBy(given: Set<string>, facts: Fact[]): Set<string> {
  const tainted = new Set(given);
  for (let before = -1; before !== tainted.size; ) {
    before = tainted.size;
    for (const { isGiven, references, declared } of facts) {
      if (!isGiven && meets(references, tainted)) for (const name of declared) tainted.add(name);
    }
  }
  return tainted;
}

/** The statements that others need, and the names that they all mention. */
function closureOf(group: Fact[], facts: Fact[]): { needed: Set<Fact>; names: Set<string> } {
  const needed = new Set(group);
  const names = new Set(group.flatMap(({ references }) => [...references]));
  for (let before = -1; before !== needed.size; ) {
    before = needed.size;
    for (const fact of facts) {
      if (needed.has(fact) || fact.isGiven || fact.checks) continue;
      if (!meets(fact.declared, names) && !meets(fact.touched, names)) continue;
      needed.add(fact);
      for (const name of fact.references) names.add(name);
    }
  }
  return { needed, names };
}

/** The parts of a cell that calls check. */
export async function partsOf(
  source: string,
  statements: PlacedStatement[],
  given: Set<string>,
  checksOf: (statement: PlacedStatement) => { names: string[]; others: number },
): Promise<Part[]> {
  const imports = statements
    .filter(({ node }) => isImport(node))
    .map(({ start, end }) => `${source.slice(start, end)}\n`)
    .join("");
  const rest = statements.filter(({ node }) => !isImport(node));
  const facts = await Promise.all(rest.map((statement) => factOf(source, statement, given, checksOf)));
  const checks = facts.filter((fact) => fact.checks);
  const partOf = (group: Fact[], kept: (fact: Fact) => boolean, names: Iterable<string>): Part => ({
    names: [...new Set(group.flatMap((fact) => fact.checks!.names))],
    dynamic: group.some((fact) => fact.checks!.others > 0),
    given: [...names],
    imports,
    code: facts
      .filter((fact) => !fact.isGiven && (fact.checks ? group.includes(fact) : kept(fact)))
      .map(({ text }) => `${text}\n`)
      .join(""),
  });
  const names = checks.flatMap((fact) => fact.checks!.names);
  // What a check's statement declares others may use; a name that is checked twice is one exercise.
  const isOne =
    checks.length < 2 ||
    checks.some(({ declared }) => declared.size > 0) ||
    new Set(names).size < names.length;
  if (isOne) return [partOf(checks, () => true, given)];
  const tainted = taintedBy(given, facts);
  return checks.map((check) => {
    const { needed, names: mentioned } = closureOf([check], facts);
    const asked = [...given].filter((name) => mentioned.has(name));
    if (asked.length === 0) return partOf([check], () => true, given);
    return partOf([check], (fact) => needed.has(fact) || !meets(fact.references, tainted), asked);
  });
}
