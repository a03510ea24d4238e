// Suspicious likeness: pieces of code that two students share and the handed-out notebook does not have (winnowing, as
// MOSS does it: Schleimer, Wilkerson, Aiken 2003). Names and spaces do not count, so renaming hides nothing.
import { type Notebook, textOf } from "../notebook/notebook.ts";
import type { Assignment } from "./assignment.ts";

const piece = 12;
const window = 6;

/** Tokens of code in which every name is the same. */
function tokensOf(code: string): string[] {
  const plain = code.replace(/\/\/[^\n]*|\/\*[\s\S]*?\*\//g, " ");
  const keywords =
    /^(?:const|let|var|function|return|for|while|if|else|of|in|new|await|async|class|import|from|throw|true|false|null)$/;
  const found =
    plain.match(
      /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|[\p{L}_$][\p{L}\p{N}_$]*|\d[\w.]*|=>|\*\*|[^\s\w]/gu,
    ) ?? [];
  return found.map((token) => (/^[\p{L}_$]/u.test(token) && !keywords.test(token) ? "n" : token));
}

function hashOf(tokens: string[]): number {
  let hash = 2166136261;
  for (const token of tokens) {
    for (let i = 0; i < token.length; i++) hash = Math.imul(hash ^ token.charCodeAt(i), 16777619);
    hash = Math.imul(hash ^ 31, 16777619);
  }
  return hash >>> 0;
}

function printsOf(codes: string[]): Set<number> {
  const prints = new Set<number>();
  for (const code of codes) {
    const tokens = tokensOf(code);
    const hashes: number[] = [];
    for (let i = 0; i + piece <= tokens.length; i++) hashes.push(hashOf(tokens.slice(i, i + piece)));
    for (let i = 0; i < hashes.length; i++) {
      if (i + window <= hashes.length || i === 0) prints.add(Math.min(...hashes.slice(i, i + window)));
    }
  }
  return prints;
}

const codeOf = (notebook: Notebook) =>
  notebook.cells.filter(({ cell_type }) => cell_type === "code").map(({ source }) => textOf(source));

/** The handed-out notebook's prints, made once for a whole class. */
const handedOut = new WeakMap<Assignment, Set<number>>();

/** The prints of a student's own code: those that the handed-out notebook has too are left out. */
export function fingerprints(notebook: Notebook, assignment: Assignment): number[] {
  const common = handedOut.get(assignment) ?? printsOf(codeOf(assignment.notebook));
  handedOut.set(assignment, common);
  return [...printsOf(codeOf(notebook))].filter((print) => !common.has(print)).slice(0, 4000);
}

/** Two students whose code has much in common. */
export interface Likeness {
  a: string;
  b: string;
  /** The share of the smaller one's pieces that the other has too. */
  share: number;
  pieces: number;
}

/** Pairs that share at least `share` of their pieces, and at least four that few others have; the most alike first. */
export function likenesses(students: { id: string; prints: number[] }[], share = 0.6): Likeness[] {
  const owners = new Map<number, number[]>();
  for (const [index, { prints }] of students.entries()) {
    for (const print of prints) owners.set(print, [...(owners.get(print) ?? []), index]);
  }
  // What a fifth of the class has is how one solves it.
  const most = Math.max(2, students.length / 5);
  const pairs = new Map<string, number>();
  for (const all of owners.values()) {
    if (all.length < 2 || all.length > most) continue;
    for (let i = 0; i < all.length; i++) {
      for (let j = i + 1; j < all.length; j++) {
        const key = `${all[i]},${all[j]}`;
        pairs.set(key, (pairs.get(key) ?? 0) + 1);
      }
    }
  }
  const found: Likeness[] = [];
  for (const [key, pieces] of pairs) {
    const [i, j] = key.split(",").map(Number);
    const smaller = Math.min(students[i].prints.length, students[j].prints.length);
    if (pieces >= 4 && pieces / smaller >= share) {
      found.push({ a: students[i].id, b: students[j].id, share: pieces / smaller, pieces });
    }
  }
  return found.sort((x, y) => y.share - x.share || y.pieces - x.pieces);
}
