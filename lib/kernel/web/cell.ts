// One cell from its start to its end, in the worker: what it evaluates to is shown, what it holds open is awaited, and the
// first failure or interrupt on the way ends it.
import { isPromise, turn } from "#platform";
import type { MimeBundle } from "../../util/display.ts";
import type { CellEnd } from "../protocol/host.ts";
import type { Content } from "../protocol/messages.ts";
import type { ExpressionResult, PublishedType } from "../protocol/reference.ts";
import { describeError, KernelError, rememberCell } from "../run/errors.ts";
import { newScope, type Outcome, type Scope, whenSettled } from "../run/owner.ts";
import { keepResult } from "../run/results.ts";
import { showResult } from "../run/show-result.ts";
import { bundleOf } from "../show/show.ts";
import { prepare } from "./evaluate.ts";
import type { RunRequest } from "./link.ts";
import type { Scopes } from "./scope.ts";

/** What a cell runs on. */
export interface Bench {
  scopes: Scopes;
  publish(type: PublishedType, content: Content): void;
  /** The cell has ended. */
  done(run: number, end: CellEnd): void;
}

export class CellRun {
  readonly #bench: Bench;
  readonly #request: RunRequest;
  readonly #scope: Scope;
  #outcome: Outcome | undefined;

  constructor(request: RunRequest, bench: Bench) {
    this.#request = request;
    this.#bench = bench;
    this.#scope = newScope(request.origin, request.title);
  }

  start(): void {
    const { name, title, source, mappings, code, reset } = this.#request;
    const { scopes } = this.#bench;
    const own = this.#scope;
    rememberCell(name, title, source, mappings);
    own.end = (outcome) => this.#end(outcome);
    scopes.begin(own);
    try {
      const whole = scopes.run(own, () => prepare(code, reset, name)((value) => scopes.go(own, value)));
      // In an array, so that a promise which is the cell's value is not awaited unseen.
      whole.then(
        (result) => this.#end({ value: result?.[0] }),
        (error) => this.#end({ error }),
      );
    } catch (error) {
      this.#end({ error });
    }
  }

  #end(first: Outcome): void {
    if (this.#outcome) {
      if ("value" in this.#outcome && "error" in first) this.#outcome = first;
      return;
    }
    this.#outcome = first;
    // Errors that nobody caught show themselves one turn later: they are the cell's too.
    void turn()
      .then(turn)
      .then(() => this.#finish());
  }

  #finish(): void {
    const outcome = this.#outcome!;
    if ("error" in outcome) {
      void this.#done();
      return;
    }
    // From here on, a failure or an interrupt ends the wait for what shows the value.
    this.#scope.end = (end) => {
      if ("value" in this.#outcome!) this.#outcome = end;
      void this.#done();
    };
    if (this.#request.showsResult) {
      try {
        const { scopes: turns, publish } = this.#bench;
        const own = this.#scope;
        const { count } = this.#request;
        turns.run(own, () => showResult(outcome.value, { turns, own, count, publish, keep: keepResult }));
      } catch (error) {
        this.#scope.end?.({ error });
      }
    }
    whenSettled(this.#scope, () => void this.#done());
  }

  async #done(): Promise<void> {
    const { scopes, done } = this.#bench;
    if (!scopes.running.delete(this.#scope)) return;
    this.#scope.end = undefined;
    const end = this.#outcome!;
    if ("error" in end) done(this.#request.run, { error: describeError(end.error) });
    else done(this.#request.run, { expressions: await this.#expressions() });
  }

  async #expressions(): Promise<Record<string, ExpressionResult>> {
    const out: Record<string, ExpressionResult> = {};
    for (const [key, expression] of Object.entries(this.#request.expressions)) {
      try {
        out[key] = { status: "ok", data: await this.#expression(key, expression), metadata: {} };
      } catch (error) {
        out[key] = { status: "error", ...describeError(error) };
      }
    }
    return out;
  }

  async #expression(key: string, expression: RunRequest["expressions"][string]): Promise<MimeBundle> {
    if (typeof expression === "string") throw new KernelError("SyntaxError", expression);
    const { scopes } = this.#bench;
    const whole = prepare(
      expression.code,
      [],
      `${this.#request.name}.${key}`,
    )((value) => scopes.go(undefined, value));
    const late = turn().then(() => {
      throw new KernelError("Error", "the expression waits for something: a cell may, it may not");
    });
    late.catch(() => {});
    const bundle = bundleOf((await Promise.race([whole, late]))?.[0]);
    return isPromise(bundle) ? {} : (bundle as MimeBundle);
  }
}
