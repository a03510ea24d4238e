// A thread of the judge's process that holds the line to the student's: the judge asks and waits, as a function call does.
import { createServer, type Server, type Socket } from "node:net";
import { type MessagePort, workerData } from "node:worker_threads";

/** What the judge's main thread asks of the thread. */
export type LineRequest =
  | { op: "listen"; path: string }
  | { op: "accept" }
  | { op: "ask"; text: string }
  | { op: "drop" }
  | { op: "close" };

/** What the thread answers to each request. */
export interface LineReply {
  /** The request's number. */
  turn: number;
  text?: string;
  error?: string;
}

const { flag, largest, port } = workerData as { flag: Int32Array; largest: number; port: MessagePort };
let server: Server | undefined;
let current: Socket | undefined;
let waiting: ((answer: { text?: string; error?: string }) => void) | undefined;
let accepting: (() => void) | undefined;

function reply(value: LineReply): void {
  port.postMessage(value);
  Atomics.store(flag, 0, 1);
  Atomics.notify(flag, 0);
}

const gone = "the student's process is gone";
const deepest = 400;
const mostValues = 20_000_000;

/** What makes an answer one that only a cheat sends, before anybody reads it: that would take the judge minutes. */
function excessOf(answer: Buffer): string | undefined {
  let [depth, values, inText] = [0, 0, false];
  for (let i = 0; i < answer.length; i++) {
    const byte = answer[i];
    if (inText) {
      if (byte === 92) i++;
      else if (byte === 34) inText = false;
    } else if (byte === 34) inText = true;
    else if (byte === 91 || byte === 123) {
      if (++depth > deepest) return `the answer is nested more than ${deepest} deep`;
    } else if (byte === 93 || byte === 125) depth--;
    else if (byte === 44 && ++values > mostValues) return `the answer has more than ${mostValues} values`;
  }
  return undefined;
}

function take(socket: Socket): void {
  if (current) {
    socket.destroy();
    return;
  }
  current = socket;
  let parts: Buffer[] = [];
  let size = 0;
  const end = () => {
    if (current !== socket) return;
    current = undefined;
    waiting?.({ error: gone });
    waiting = undefined;
  };
  socket.on("error", () => {});
  socket.on("close", end);
  socket.on("data", (chunk) => {
    size += chunk.length;
    if (size > largest) {
      socket.destroy();
      return;
    }
    const at = chunk.indexOf(10);
    if (at < 0) {
      parts.push(chunk);
      return;
    }
    // One question, one answer: what comes unasked, or after the answer, is dropped.
    const answer = Buffer.concat([...parts, chunk.subarray(0, at)]);
    parts = [];
    size = 0;
    const tooMuch = excessOf(answer);
    waiting?.(tooMuch ? { error: tooMuch } : { text: answer.toString("utf8") });
    waiting = undefined;
  });
  accepting?.();
  accepting = undefined;
}

function listen(path: string, turn: number): void {
  server?.close();
  current?.destroy();
  current = undefined;
  server = createServer(take);
  server.once("error", (error) => reply({ turn, error: error.message }));
  server.listen(path, () => reply({ turn }));
}

port.on("message", (request: LineRequest & { turn: number }) => {
  const { turn } = request;
  if (request.op === "listen") listen(request.path, turn);
  else if (request.op === "accept") {
    if (current) reply({ turn });
    else accepting = () => reply({ turn });
  } else if (request.op === "ask") {
    if (!current) {
      reply({ turn, error: gone });
      return;
    }
    waiting = (answer) => reply({ turn, ...answer });
    current.write(`${request.text}\n`);
  } else {
    current?.destroy();
    current = undefined;
    waiting = undefined;
    accepting = undefined;
    if (request.op === "close") server?.close();
    reply({ turn });
  }
});
