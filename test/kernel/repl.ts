// A REPL-mode session as the kernel has it, for tests: cells are transformed and then really run.
import { Session } from "node:inspector";
import { createRequire } from "node:module";
import { isNodes, type TransformCellOptions, transformCell } from "../../lib/kernel/cell/transform.ts";

export class Repl {
  private readonly session = new Session();
  private readonly options: Partial<TransformCellOptions>;
  /** Specifiers (and attributes) that cells have imported. */
  readonly imports: unknown[][] = [];
  private readonly ownGlobals = new Set<string>();

  constructor(options: Partial<TransformCellOptions> = {}) {
    this.options = options;
    this.session.connect();
    Object.assign(globalThis, {
      __slimlab_import: async (...args: [string]) => {
        this.imports.push(args);
        return import(args[0]);
      },
      __slimlab_meta: { url: "file:///cell" },
      __slimlab_go: (value: unknown) => value,
      require: createRequire(import.meta.url),
    });
  }

  /** Runs a cell; answers its result, or throws what it threw. */
  async run(source: string): Promise<unknown> {
    const { ownGlobals } = this;
    const { code, showsResult, declared } = await transformCell(source, {
      name: "cell",
      ownGlobals,
      ...this.options,
    });
    for (const each of declared) if (isNodes(each)) ownGlobals.add(each.name);
    const globals = globalThis as Record<string, unknown>;
    const answer = await new Promise<{
      result: { objectId?: string; value?: unknown; type: string };
      exceptionDetails?: { text: string; exception?: { description?: string } };
    }>((resolve, reject) =>
      this.session.post(
        "Runtime.evaluate",
        { expression: code, replMode: true, awaitPromise: true },
        (error, value) => (error ? reject(error) : resolve(value as never)),
      ),
    );
    if (answer.exceptionDetails) {
      throw new Error(answer.exceptionDetails.exception?.description ?? answer.exceptionDetails.text);
    }
    if (!showsResult) return undefined;
    if (!answer.result.objectId) return answer.result.value;
    await new Promise<void>((resolve) =>
      this.session.post(
        "Runtime.callFunctionOn",
        {
          objectId: answer.result.objectId,
          functionDeclaration: "function () { globalThis.__testResult = this }",
        },
        () => resolve(),
      ),
    );
    return globals.__testResult;
  }

  close(): void {
    this.session.disconnect();
  }
}
