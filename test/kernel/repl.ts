// A REPL-mode session as the kernel has it, for tests: cells are transformed and then really run.
import { Session } from "node:inspector";
import { createRequire } from "node:module";
import { CellNames, type TransformCellOptions, transformCell } from "../../lib/kernel/cell/transform.ts";
import { provideNamed } from "../../lib/kernel/run/named.ts";

export class Repl {
  private readonly session = new Session();
  private readonly options: Partial<TransformCellOptions>;
  /** Specifiers (and attributes) that cells have imported. */
  readonly imports: unknown[][] = [];
  private readonly names = new CellNames();

  constructor(options: Partial<TransformCellOptions> = {}) {
    this.options = options;
    this.session.connect();
    Object.assign(globalThis, {
      __slimlab_import: async (...args: [string]) => {
        this.imports.push(args);
        return import(args[0]);
      },
      __slimlab_meta: {
        url: "file:///cell",
        dirname: "/folder",
        filename: "/folder/cell.ts",
        module: { exports: {} },
      },
      __slimlab_go: (value: unknown) => value,
      require: createRequire(import.meta.url),
    });
    provideNamed((name, value) => Object.defineProperty(globalThis, name, { value, configurable: true }));
  }

  /** Runs a cell; answers its result, or throws what it threw. */
  async run(source: string): Promise<unknown> {
    const { names } = this;
    const cell = await transformCell(source, { name: "cell", names, ...this.options });
    const { code, showsResult } = cell;
    names.begin(cell);
    const globals = globalThis as Record<string, unknown>;
    const answer = await new Promise<{
      result: { objectId?: string; value?: unknown; unserializableValue?: string };
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
    names.finish(cell);
    if (!showsResult) return undefined;
    const { objectId, unserializableValue, value } = answer.result;
    if (!objectId) return unserializableValue ? Number(unserializableValue) : value;
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
