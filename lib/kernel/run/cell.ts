// One cell from its start to its end: what it evaluates to is shown, what it holds open is awaited, and the first failure
// or interrupt on the way ends it.
import { types } from "node:util";
import type { RunRequest } from "../node/link.ts";
import type { CellEnd } from "../protocol/host.ts";
import { jsonSize } from "../protocol/json.ts";
import type { Content } from "../protocol/messages.ts";
import type { ExpressionResult, PublishedType } from "../protocol/reference.ts";
import { bundleOf } from "../show/show.ts";
import { describeError, KernelError, packCell, rememberCell } from "./errors.ts";
import type { Evaluator } from "./evaluate.ts";
import type { Guard } from "./guard.ts";
import { interruption, newScope, type Outcome, type Scope, whenSettled } from "./owner.ts";
import { keepResult } from "./results.ts";
import type { Scopes } from "./scope.ts";
import { showResult } from "./show-result.ts";

/** Node's own: cells may take the name, and lose what they have set. */
const { setImmediate } = globalThis;

/** What a cell runs on. */
export interface Bench {
  scopes: Scopes;
  guard: Guard;
  evaluator: Evaluator;
  publish(type: PublishedType, content: Content): void;
  /** The cell has ended. */
  done(run: number, end: CellEnd): void;
}

export class CellRun {
  readonly #bench: Bench;
  readonly #request: RunRequest;
  readonly #scope: Scope;
  #outcome: Outcome | undefined;
  #starting = true;
  #isOver = false;

  constructor(request: RunRequest, bench: Bench) {
    this.#request = request;
    this.#bench = bench;
    this.#scope = newScope(request.origin, request.title);
  }

  start(): void {
    const { name, title, source, map, code, debug } = this.#request;
    const { scopes, guard, evaluator } = this.#bench;
    const own = this.#scope;
    rememberCell(name, title, source, map.mappings);
    own.end = (outcome) => this.#end(outcome);
    scopes.begin(own);
    const stopped = guard.call(
      () => scopes.run(own, () => evaluator.evaluate(`${code}\n//# sourceURL=${name}`, enderOf(own), debug)),
      () => {
        if (this.#isPlain()) this.#finish();
      },
    );
    this.#starting = false;
    if (!scopes.running.has(own)) return;
    if (stopped) this.#outcome = scopes.interrupt(own);
    // Node has looked for rejections that nobody handles before the guarded part ended.
    if (this.#outcome) this.#finish();
  }

  /** Most cells end with their first part, and with nothing of the user's left to call. */
  #isPlain(): boolean {
    const outcome = this.#outcome;
    if (!outcome || !("value" in outcome) || isObject(outcome.value)) return false;
    return this.#scope.held.size === 0 && Object.keys(this.#request.expressions).length === 0;
  }

  #end(outcome: Outcome): void {
    const { scopes } = this.#bench;
    let first = outcome;
    if ("error" in outcome && scopes.mustEnd(this.#scope)) {
      const interrupted = scopes.interrupt(this.#scope);
      // A child process that took the interrupt's signal tells of it by an error of its own.
      if (tellsOfSignal(outcome.error)) first = interrupted;
    }
    if (this.#outcome) {
      if ("value" in this.#outcome && "error" in first) this.#outcome = first;
      return;
    }
    this.#outcome = first;
    // Errors that nobody caught show themselves one turn later: they are the cell's too.
    if (!this.#starting) setImmediate(() => this.#finish());
  }

  #finish(): void {
    const outcome = this.#outcome;
    if (!outcome) return;
    if ("error" in outcome) {
      this.#done();
      return;
    }
    const { scopes, guard } = this.#bench;
    const own = this.#scope;
    // From here on, a failure or an interrupt ends the wait for what shows the value.
    own.end = (end) => {
      if ("value" in this.#outcome!) this.#outcome = end;
      this.#over();
    };
    const show = () => scopes.run(own, () => this.#show(outcome.value));
    // What shows an object may be the user's code, and may never end.
    if (this.#request.showsResult && isObject(outcome.value)) {
      if (guard.call(show)) own.end?.(scopes.interrupt(own));
    } else if (this.#request.showsResult) show();
    whenSettled(own, () => this.#over());
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#done();
  }

  #done(): void {
    const { scopes, done, evaluator } = this.#bench;
    const end = this.#outcome!;
    this.#scope.end = undefined;
    if ("error" in end) done(this.#request.run, { error: describeError(end.error, end.thrownAt) });
    else done(this.#request.run, { expressions: this.#evaluateExpressions() });
    scopes.running.delete(this.#scope);
    evaluator.release();
    packCell(this.#request.name);
  }

  #show(value: unknown): void {
    try {
      const { scopes: turns, publish } = this.#bench;
      showResult(value, { turns, own: this.#scope, count: this.#request.count, publish, keep: keepResult });
    } catch (error) {
      this.#scope.end?.({ error });
    }
  }

  #evaluateExpressions(): Record<string, ExpressionResult> {
    const out: Record<string, ExpressionResult> = {};
    for (const [key, code] of Object.entries(this.#request.expressions)) out[key] = this.#expression(code);
    return out;
  }

  #expression(code: string): ExpressionResult {
    const { scopes, guard, evaluator } = this.#bench;
    let end: Outcome | undefined;
    const stopped = guard.call(() =>
      scopes.run(this.#scope, () =>
        evaluator.evaluate(code, (outcome) => {
          end = outcome;
        }),
      ),
    );
    if (stopped) end = { error: interruption() };
    end ??= {
      error: new KernelError("Error", "the expression waits for something: a cell may, it may not"),
    };
    if ("error" in end) return { status: "error", ...describeError(end.error, end.thrownAt) };
    try {
      const bundle = bundleOf(end.value);
      const data = types.isPromise(bundle) ? {} : bundle;
      jsonSize(data, "data");
      return { status: "ok", data, metadata: {} };
    } catch (error) {
      return { status: "error", ...describeError(error) };
    }
  }
}

/** Whether an error says that the interrupt's signal was its cause. A thrown value may be anything, and throw again. */
function tellsOfSignal(error: unknown): boolean {
  try {
    return (error as { signal?: unknown } | null)?.signal === "SIGINT";
  } catch {
    return false;
  }
}

function isObject(value: unknown): boolean {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

/** V8 keeps what is to be called at a cell's end, for ever if it was cut off: so that holds nothing but the scope. */
function enderOf(own: Scope): (outcome: Outcome) => void {
  return (outcome) => own.end?.(outcome);
}
