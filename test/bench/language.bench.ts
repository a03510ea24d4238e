// Types for cells (kernel): the native language server behind LanguageService, against TypeScript's JavaScript
// language service on the same cells (the one that tslab brings along).
import { createRequire } from "node:module";
import { join } from "node:path";
import { transformCell, warmTransform } from "../../lib/kernel/cell/transform.ts";
import { machineService } from "../../lib/kernel/types/machine.ts";
import { packageRoot } from "../../lib/util/files.ts";
import type { Row } from "./index.ts";
import { median } from "./median.ts";
import { residentMemory } from "./memory.ts";

export const title = "Kernel: types for cells";

const peer = "TypeScript 5.0 in JavaScript";
const runs = 21;

async function timed(work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

async function medianTime(work: (i: number) => unknown): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < runs; i++) times.push(await timed(() => work(i)));
  return median(times);
}

export async function bench(report: (row: Row) => void): Promise<void> {
  const folder = join(packageRoot, "notebooks");
  const js = peerService(folder);
  const peers = async (work: ((i: number) => unknown) | undefined): Promise<Record<string, number>> =>
    js && work ? { [peer]: await medianTime(work) } : {};

  await warmTransform();
  const typed = "const x: number[] = [1, 2, 3];\nfunction f(a: number): number { return a * 2 }\nx.map(f)";
  const plain = "const y = [1, 2, 3].map((a) => a * 2);\ny";
  report({
    work: "a typed cell to JavaScript",
    ours: await medianTime(() => transformCell(typed, { name: "c" })),
    peers: await peers(() => js!.transpile(typed)),
    unit: "ms",
    goal: "< 2 ms",
  });
  report({
    work: "a cell without types to JavaScript",
    ours: await medianTime(() => transformCell(plain, { name: "c" })),
    peers: await peers(() => js!.transpile(plain)),
    unit: "ms",
    goal: "< 2 ms",
  });

  const language = machineService({ folder });
  try {
    const start = performance.now();
    await language.start();
    report({ work: "start, warm", ours: performance.now() - start, peers: {}, unit: "ms" });
    const cell = async (source: string) => {
      const code = await transformCell(source, { name: "c" });
      const before = performance.now();
      const problems = await language.check(source, code);
      if (problems.some((each) => each.code === 0)) throw new Error(problems[0].message);
      language.accept();
      return performance.now() - before;
    };
    /** The median check, without the transform. */
    const checks = async (source: (i: number) => string) => {
      const times: number[] = [];
      for (let i = 0; i < runs; i++) times.push(await cell(source(i)));
      return median(times);
    };
    report({
      work: "check an expression",
      ours: await checks((i) => `1 + ${i}`),
      peers: await peers((i) => js!.check(`export {}; 1 + ${i}`)),
      unit: "ms",
      goal: "< 5 ms",
    });
    report({
      work: "check and accept a declaration that uses an earlier cell's",
      ours: await checks((i) => (i === 0 ? "const b0 = 1" : `const b${i} = b${i - 1} + ${i}`)),
      peers: await peers((i) => js!.check(`export {}; const a = 1; const b = a + ${i}`)),
      unit: "ms",
      goal: "< 5 ms",
    });
    report({
      work: "first cell that imports @tensorflow/tfjs",
      ours: await cell('import * as tf from "@tensorflow/tfjs"; const t = tf.tensor2d([[1, 2]])'),
      peers: js
        ? { [peer]: await timed(() => js.check('import * as tf from "@tensorflow/tfjs"; tf.add(1, 2)')) }
        : {},
      unit: "ms",
    });
    const withTf = (i: number) =>
      `import * as tf from "@tensorflow/tfjs"; const t = tf.tensor2d([[1]]); t.add(${i})`;
    report({
      work: "check an expression, tfjs in scope",
      ours: await checks((i) => `t.add(${i})`),
      peers: await peers((i) => js!.check(withTf(i))),
      unit: "ms",
      goal: "< 25 ms",
    });
    report({
      work: "check and accept a declaration, tfjs in scope",
      ours: await checks((i) => `const t${i} = t.add(${i})`),
      peers: {},
      unit: "ms",
      goal: "< 25 ms",
    });
    report({
      work: "complete tf.ten, with signatures",
      ours: await medianTime(() => language.complete("tf.ten", 6)),
      peers: await peers(() => js!.complete('import * as tf from "@tensorflow/tfjs"; tf.ten')),
      unit: "ms",
      goal: "< 10 ms",
    });
    report({
      work: "inspect tf.matMul",
      ours: await medianTime(() => language.inspect("tf.matMul", 5)),
      peers: await peers(() => js!.hover('import * as tf from "@tensorflow/tfjs"; tf.matMul')),
      unit: "ms",
    });
    report({
      work: "language server's memory",
      ours: residentMemory(language.state.pid) / 1024,
      peers: {},
      unit: "MB",
    });
  } finally {
    await language.close();
  }
}

/** TypeScript's language service in JavaScript, with one document that changes; missing where tslab is not installed. */
function peerService(folder: string) {
  const require = createRequire(import.meta.url);
  // biome-ignore lint/suspicious/noExplicitAny: another TypeScript's API, without types here.
  let ts: any;
  try {
    ts = createRequire(require.resolve("tslab/package.json"))("@tslab/typescript-for-tslab");
  } catch {
    return undefined;
  }
  const file = join(folder, "__peer.ts");
  let text = "";
  let version = 0;
  const options = {
    strict: true,
    target: ts.ScriptTarget.ESNext,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.NodeJs,
    skipLibCheck: true,
    types: ["node"],
  };
  const service = ts.createLanguageService({
    fileExists: (name: string) => name === file || ts.sys.fileExists(name),
    readFile: ts.sys.readFile,
    directoryExists: ts.sys.directoryExists,
    getDirectories: ts.sys.getDirectories,
    useCaseSensitiveFileNames: () => ts.sys.useCaseSensitiveFileNames,
    getScriptFileNames: () => [file],
    getScriptVersion: (name: string) => (name === file ? String(version) : "1"),
    getScriptSnapshot: (name: string) => {
      const content = name === file ? text : ts.sys.readFile(name);
      return content === undefined ? undefined : ts.ScriptSnapshot.fromString(content);
    },
    getCurrentDirectory: () => folder,
    getCompilationSettings: () => options,
    getDefaultLibFileName: ts.getDefaultLibFilePath,
  });
  const set = (source: string) => {
    text = source;
    version++;
  };
  return {
    check(source: string) {
      set(source);
      return service.getSyntacticDiagnostics(file).concat(service.getSemanticDiagnostics(file));
    },
    complete(source: string) {
      set(source);
      return service.getCompletionsAtPosition(file, source.length, {});
    },
    hover(source: string) {
      set(source);
      return service.getQuickInfoAtPosition(file, source.length - 1);
    },
    transpile: (source: string) =>
      ts.transpileModule(source, { compilerOptions: { ...options, sourceMap: true } }).outputText,
  };
}
