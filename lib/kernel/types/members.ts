// Completion of members of values that have no type: what is there at run time. V8 is asked from the server's thread, so
// it answers while a cell computes, and it evaluates nothing that would change anything.
import { Session } from "node:inspector";

/** A member's name and what it is, in JupyterLab's words. */
export interface Member {
  name: string;
  type: "function" | "property";
}

/** What an expression stands for may take its time when the main thread sits in native code: then there is no answer. */
const patience = 500;

const name = String.raw`[\p{ID_Start}$_][\p{ID_Continue}$]*`;
const chain = new RegExp(
  String.raw`(${name}(?:\s*\??\.\s*#?${name}|(?:\s*\?\.)?\[(?:\d+|"[^"\\\n]*"|'[^'\\\n]*')\])*)\s*\??\.\s*$`,
  "u",
);

/** The expression before a dot whose members complete a word: names, properties and indices, and no calls. */
export function objectBefore(text: string): string | undefined {
  const found = chain.exec(text);
  if (!found) return undefined;
  // `f().a.` and `[1].a.`: what the names belong to has been cut off.
  return /[.)\]}"'`]\s*$/.test(text.slice(0, found.index)) ? undefined : found[1];
}

/** Runs on the main thread: JSON of a value's members, the nearest first. */
function membersOf(value: unknown): string {
  const members: Record<string, string> = Object.create(null);
  let count = 0;
  if (value === null || value === undefined) return "{}";
  let at: object | null = Object(value);
  // Millions of indices are no names.
  if (Array.isArray(at) || (ArrayBuffer.isView(at) && !(at instanceof DataView)))
    at = Object.getPrototypeOf(at);
  for (; at && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const key of Object.getOwnPropertyNames(at)) {
      if (key in members || key === "constructor") continue;
      // To look at some of Node's globals counts as doing something.
      const { value } = (at !== globalThis && Object.getOwnPropertyDescriptor(at, key)) || {};
      members[key] = typeof value === "function" ? "function" : "property";
      if (++count >= 1000) return JSON.stringify(members);
    }
  }
  return JSON.stringify(members);
}

const identifier = new RegExp(`^${name}$`, "u");

export class RuntimeMembers {
  #session: Session | undefined;

  /** The members of what an expression (see `objectBefore`) stands for now; none where it fails or takes too long. */
  async of(expression: string): Promise<Member[]> {
    if (!this.#session) {
      this.#session = new Session();
      this.#session.connectToMainThread();
    }
    const session = this.#session;
    const found = await new Promise<string>((resolve) => {
      const timer = setTimeout(resolve, patience, "{}");
      const parameters = {
        expression: `(${membersOf})(${expression})`,
        throwOnSideEffect: true,
        silent: true,
        returnByValue: true,
        disableBreaks: true,
      };
      session.post("Runtime.evaluate", parameters, (error, reply) => {
        clearTimeout(timer);
        const { result } = (reply ?? {}) as { result?: { type: string; value?: string } };
        resolve(!error && result?.type === "string" && result.value ? result.value : "{}");
      });
    });
    const members: Member[] = [];
    for (const [name, type] of Object.entries(JSON.parse(found) as Record<string, Member["type"]>)) {
      if (identifier.test(name) && !name.startsWith("__slimlab")) members.push({ name, type });
    }
    return members;
  }

  /** Node waits at its end for sessions that are open. */
  close(): void {
    this.#session?.disconnect();
    this.#session = undefined;
  }
}
