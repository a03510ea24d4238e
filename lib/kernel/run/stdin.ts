// `process.stdin` for programs that read it, as Node's tutorials do with readline: each line is a question to the person.
import { Readable } from "node:stream";
import type { Input } from "./input.ts";

export function provideStdin(input: Input): void {
  let stdin: Readable | undefined;
  Object.defineProperty(process, "stdin", {
    get() {
      // One that was interrupted or refused is no good for the next cell.
      if (!stdin || stdin.destroyed || stdin.readableEnded) stdin = questions(input);
      return stdin;
    },
    configurable: true,
    enumerable: true,
  });
}

function questions(input: Input): Readable {
  let isWanted = false;
  const ask = () => {
    // Who has what it wanted has paused the stream, and asks no more.
    const isPaused = stdin.readableFlowing === false && stdin.listenerCount("readable") === 0;
    if (!isWanted || isPaused || stdin.destroyed) return;
    isWanted = false;
    try {
      stdin.push(`${input.line()}\n`);
    } catch (error) {
      stdin.destroy(error as Error);
    }
  };
  const stdin = new Readable({
    highWaterMark: 0, // Nobody is asked before somebody reads.
    read() {
      isWanted = true;
      setImmediate(ask); // What takes a line must have its turn before it is asked for the next.
    },
  });
  stdin.on("resume", () => setImmediate(ask));
  return Object.assign(stdin, { fd: 0 });
}
