// `prompt()` and `input()`: the main thread stands still until the person has answered.
import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { shared, type ToServer } from "../node/link.ts";
import { interruption } from "./owner.ts";
import type { Scopes } from "./scope.ts";

export class Input {
  readonly #port: MessagePort;
  readonly #numbers: Int32Array;
  readonly #scopes: Scopes;
  readonly #post: (message: ToServer) => void;

  constructor(
    port: MessagePort,
    numbers: Int32Array,
    scopes: Scopes,
    /** Sends to the server, after the text that was written before. */
    post: (message: ToServer) => void,
  ) {
    this.#port = port;
    this.#numbers = numbers;
    this.#scopes = scopes;
    this.#post = post;
  }

  /** The browser's `prompt`: null where nobody may be asked. */
  prompt(message = "", fallback = ""): string | null {
    const answer = this.#ask(`${message}${fallback ? ` [${fallback}]` : ""} `.trimStart(), false);
    return answer === undefined ? null : answer || String(fallback);
  }

  /** The same, with an error where nobody may be asked. */
  input(message = "", options: { password?: boolean } = {}): string {
    const answer = this.#ask(String(message), options.password === true);
    if (answer !== undefined) return answer;
    const { current, running } = this.#scopes;
    throw new Error(
      current.origin.stdin && !running.has(current)
        ? `input() needs somebody to ask: ${current.title} has ended, and only a cell that runs may`
        : "input() needs somebody to ask: this run of the notebook allows no input",
    );
  }

  /** A line for who reads `process.stdin`. */
  line(): string {
    const answer = this.#ask("", false);
    if (answer !== undefined) return answer;
    throw new Error(
      "process.stdin has nobody to read from: only a cell that runs, and may ask for input, can",
    );
  }

  #ask(prompt: string, password: boolean): string | undefined {
    const { current, running } = this.#scopes;
    const { origin } = current;
    // Once its cell has ended, no front end listens for a question, and the kernel would wait for ever.
    if (!origin.stdin || !running.has(current)) return undefined;
    while (receiveMessageOnPort(this.#port)); // Answers to questions that were interrupted.
    const before = Atomics.load(this.#numbers, shared.input);
    this.#post({ type: "input", origin, prompt, password });
    for (let seen = before; ; seen = Atomics.load(this.#numbers, shared.input)) {
      const received = receiveMessageOnPort(this.#port);
      if (received) {
        const { value, interrupted } = received.message as { value?: string; interrupted?: boolean };
        if (interrupted) throw interruption();
        return value ?? "";
      }
      Atomics.wait(this.#numbers, shared.input, seen, 1000);
    }
  }
}
