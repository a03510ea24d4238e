// Stacks of engines other than V8, which keep no hook for them: `name@file:line:column`, without the error's own text.

/** A call in a stack; line and column count from 1. */
interface Call {
  name: string;
  file: string;
  line: number;
  column: number;
}

/** The calls of a stack that another engine wrote; undefined for V8's own, or what is none. */
export function callsIn(stack: string): Call[] | undefined {
  if (/^\s+at /m.test(stack)) return undefined;
  const calls = stack.split("\n").flatMap((text) => {
    const match = /^(.*?)@(.*):(\d+):(\d+)$/.exec(text);
    if (!match) return [];
    const [, name, where, line, column] = match;
    // Code by eval says where that was called: `Cell[1] line 3 > eval:1:1`.
    const evaluated = /^(.*?) line (\d+) > /.exec(where);
    return [
      evaluated
        ? { name: "eval", file: evaluated[1], line: Number(evaluated[2]), column: 1 }
        : { name: nameOf(name), file: where, line: Number(line), column: Number(column) },
    ];
  });
  return calls.length > 0 ? calls : undefined;
}

/** A function's name as V8 writes it: `async*outer/inner` is inner, and `inner<` one without a name in it. */
function nameOf(text: string): string {
  const name = text.replace(/^.*\*/, "").replace(/^.*\//, "");
  const waited = /^(async|promise callback)\*/.test(text) && name !== "" && !name.endsWith("<");
  return name.endsWith("<") ? "" : `${waited ? "async " : ""}${name}`;
}
