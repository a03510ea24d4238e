// The book's two editions: the same code, the same formulas, each in its own language's typography.
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "@babel/parser";
import { type Cell, findChapters, type Notebook, readNotebook, textOf } from "../../lib/notebook/notebook.ts";
import { textsOf } from "../../lib/texts/index.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { withCodeOf } from "./edition.ts";
import { code, markdown, notebook } from "./notebooks.ts";

const folder = join(packageRoot, "notebooks");
const han = "\\p{Script=Han}";

/** Prose without code, formulas, link targets and tags. */
function proseOf(text: string): string {
  return text
    .replace(/```[\s\S]*?```/g, "")
    .replace(/\$\$[\s\S]*?\$\$/g, "")
    .replace(/`[^`\n]*`|\$[^$\n]+\$/g, "X")
    .replace(/\]\([^)\s]*\)/g, "]")
    .replace(/<[^>\n]+>|https?:\/\/\S+/g, "");
}

/** Where Chinese typography slips: half-width punctuation at a Han character, Latin letters or digits that touch one. */
function slips(text: string): string[] {
  const patterns = [
    `.{0,12}[${han}”）][*_\\]]*[,:;?!(](?!\\S*/).{0,8}`,
    `.{0,12}[,:;?!()] ?[*_[]*${han}.{0,8}`,
    `^(?!- [A-Z]).*${han}.*[,:;]$`,
    // Han characters have no italics: what matters is bold.
    `(?<![*])[*](?![*])[^*\\n]*${han}[^*\\n]*[*](?![*])`,
    `.{0,12}(${han}[A-Za-z0-9]|[A-Za-z0-9%]${han}).{0,8}`,
  ];
  const prose = proseOf(text);
  // Stars between a Han character and a mark are no bold to Markdown, and stay on the page.
  const stars = [...prose.matchAll(/(.?)[*]{2}([^*\n]+)[*]{2}(.?)/gu)].filter(
    ([, before, inside, after]) =>
      new RegExp(`^${han}\\p{P}`, "u").test(before + inside) ||
      new RegExp(`\\p{P}${han}$`, "u").test(inside + after),
  );
  return [
    ...patterns.flatMap((pattern) => prose.match(new RegExp(pattern, "gmu")) ?? []),
    ...stars.map(([all]) => all),
  ];
}

/** A heading's number and its two halves, English first. */
function headingOf(cell: Cell | undefined): { number: string; english: string; chinese: string } | undefined {
  const heading = /^# (?<number>[\d.]+) (?<left>.+?) · (?<right>.+)$/m.exec(textOf(cell?.source ?? ""));
  if (!heading?.groups) return undefined;
  const { number, left, right } = heading.groups;
  const chineseFirst = new RegExp(han, "u").test(left);
  return { number, english: chineseFirst ? right : left, chinese: chineseFirst ? left : right };
}

/** What the library puts into chapters' outputs: tables of recipes, kinds of layers, Node's own. */
const libraryWords = new Set<string>(["index", "conv", "pool", "dense", "input", "other"]);

/** Properties of options whose strings a figure shows. */
const shownKeys = new Set(["title", "label", "unit", "x", "y", "alt"]);

/**
 * The texts that a cell's code shows: options of figures, and all of an exercise. Each in a few forms, with something in the
 * place of what is computed; it is enough that one of them has its translation.
 */
function shownTexts(source: string, isExercise: boolean): string[][] {
  const found: string[][] = [];
  const visit = (node: SyntaxNode, isShown: boolean) => {
    const forms = isShown ? formsOf(node) : undefined;
    const key = (node.key as { name?: string } | undefined)?.name ?? "";
    // In an exercise, one word is an option's value as often as a name.
    const least = isExercise ? /\p{L}{2,} | \p{L}{2}/u : /\p{L}{2}/u;
    if (forms?.some((text) => least.test(text))) found.push(forms);
    if (
      forms ||
      key === "front" ||
      node.type === "ImportDeclaration" ||
      /^TS(?!As|NonNull|Satisfies)/.test(node.type)
    )
      return;
    // A key of an exercise's checks is the name of one.
    if (isExercise && node.type === "ObjectProperty" && (node.key as SyntaxNode).type === "StringLiteral")
      visit(node.key as SyntaxNode, isShown);
    const isOption = node.type === "ObjectProperty" && shownKeys.has(key);
    for (const [name, value] of Object.entries(node)) {
      if (name === "key" || name === "directives") continue;
      for (const child of Array.isArray(value) ? value : [value])
        if (typeof child?.type === "string") {
          const isAxis = child.type === "ObjectExpression" && !isExercise; // its label is shown, its format is not
          visit(child, !isAxis && (isShown || (isOption && name === "value")));
        }
    }
  };
  const { program } = parse(source, {
    sourceType: "module",
    plugins: ["typescript"],
    errorRecovery: true,
    allowAwaitOutsideFunction: true,
  });
  visit(program as never, isExercise);
  return found;
}

type SyntaxNode = { type: string } & Record<string, unknown>;

function formsOf(node: SyntaxNode): string[] | undefined {
  if (node.type === "StringLiteral") return [node.value as string];
  if (node.type === "TemplateLiteral") {
    const pieces = (node.quasis as { value: { cooked: string } }[]).map(({ value }) => value.cooked);
    const parts = node.expressions as SyntaxNode[];
    let forms = [pieces[0]];
    for (const [i, piece] of pieces.slice(1).entries()) {
      const fills = formsOf(parts[i]) ?? ["3", "3 %"];
      forms = forms.flatMap((start) => fills.map((filled) => start + filled + piece));
    }
    return [...forms, pieces.join("fc1")];
  }
  if (node.type === "ConditionalExpression") {
    const branches = [node.consequent, node.alternate].map((branch) => formsOf(branch as SyntaxNode));
    return branches[0] && branches[1]?.concat(branches[0]);
  }
  if (node.type !== "BinaryExpression" || node.operator !== "+") return undefined;
  const [left, right] = [formsOf(node.left as SyntaxNode), formsOf(node.right as SyntaxNode)];
  return (
    left &&
    right?.flatMap((end, i) =>
      left.length === right.length ? [left[i] + end] : left.map((start) => start + end),
    )
  );
}

/** Names by which the field knows what a chapter does, in both languages. */
const standardNames: Record<string, [string, string][]> = {
  "1.1": [["carbon", "碳排放"]],
  "3.1.1": [
    ["unstructured pruning", "非结构化剪枝"],
    ["2:4", "2:4"],
  ],
  "3.1.2": [
    ["structured pruning", "结构化剪枝"],
    ["channel pruning", "通道剪枝"],
  ],
  "3.1.3": [["structured pruning", "结构化剪枝"]],
  "3.2.1": [
    ["post-training quantization", "训练后量化"],
    ["fake quantization", "伪量化"],
    ...(["float16", "bfloat16", "FP8", "TensorRT"] as const).map((name): [string, string] => [name, name]),
  ],
  "3.2.2": [
    ["quantization-aware training", "量化感知训练"],
    ["straight-through estimator", "直通估计器"],
    ["zero point", "零点"],
  ],
  "3.4": [["soft targets", "软目标"]],
};

const all = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([found]) => found);

describe("the two editions", () => {
  it("the typography check sees what it should, and nothing else", () => {
    for (const bad of [
      "权重,偏置",
      "如下:",
      "(权重)",
      "有3个",
      "LeNet的权重",
      "90%的权重",
      "见[词汇表](a.md),即",
      "真的?",
      "取 $m$:",
      "称为**[掩码](a.md)**：",
      "**“零”**和一",
    ])
      assert.notEqual(slips(bad).length, 0, bad);
    const good =
      "**权重**：*Deep* LeNet 有 3 个，占 90%（`f(a, b)` 中，$w,b$），见[词汇表](a.md#x)和 [Han](https://a.b/c)。1,000 张图";
    assert.deepEqual(slips(good), []);
  });

  it("every chapter has both, with the same cells: kinds, names, tags, code", async () => {
    const chapters = await findChapters(folder);
    const english = chapters.filter(({ language }) => language === "en");
    const chinese = chapters.filter(({ language }) => language === "zh");
    assert.deepEqual(
      chinese.map(({ slug }) => slug),
      english.map(({ slug }) => slug),
    );
    for (const chapter of chinese) {
      const twin = english.find(({ slug }) => slug === chapter.slug)!;
      const [own, other] = [await readNotebook(chapter.path), await readNotebook(twin.path)];
      assert.deepEqual(own, withCodeOf(own, other), `${chapter.path} (npm run editions copies code into it)`);
      for (const cell of own.cells) assert.equal(cell.outputs?.length ?? 0, 0, `${chapter.path} has outputs`);
    }
  });

  it("code that is copied leaves what the Chinese edition says around it, in solutions too", () => {
    const solution = (word: string, code: string, more: string) => ({
      ...markdown(
        `<details><summary>${word}</summary>\n\n\`\`\`ts\n${code}\n\`\`\`\n\n${more}\n\n</details>`,
        ["solution"],
      ),
      id: "solution-a",
    });
    const english = notebook(code("b"), solution("Solution", "const b = `$&`;", "It is new."));
    const textOfSolution = (own: Notebook) => textOf(withCodeOf(own, english).cells[1].source);
    assert.match(textOfSolution(notebook(code("a"))), /<summary>参考答案<.*It is new/s);
    const own = notebook(code("a"), solution("参考答案", "const a = 1;", "这是新的。"));
    assert.match(textOfSolution(own), /<summary>参考答案<.*\nconst b = `\$&`;\n.*这是新的。/s);
    assert.equal(textOf(withCodeOf(own, english).cells[0].source), "b");
  });

  it("calls things by the field's names, and says in section 3 how they are called elsewhere", async () => {
    const bridge = {
      en: "| here | PyTorch | TensorFlow, TensorFlow Lite | ONNX Runtime |",
      zh: "| 本书 | PyTorch | TensorFlow、TensorFlow Lite | ONNX Runtime |",
    };
    for (const { path, number, language } of await findChapters(folder)) {
      const prose = (await readNotebook(path)).cells
        .filter(({ cell_type }) => cell_type === "markdown")
        .map(({ source }) => textOf(source))
        .join("\n");
      if (number.startsWith("3.")) assert.ok(prose.includes(bridge[language]), `${path} lacks its bridge`);
      for (const names of standardNames[number] ?? []) {
        const name = names[language === "en" ? 0 : 1];
        assert.ok(prose.includes(name), `${path} lacks ${name}`);
      }
    }
  });

  it("has code of at most 90 columns, as a page has room for", async () => {
    const long: string[] = [];
    for (const { path, language } of await findChapters(folder)) {
      if (language !== "en") continue; // the Chinese edition has the same code
      for (const cell of (await readNotebook(path)).cells) {
        const text = textOf(cell.source);
        const code = cell.cell_type === "code" ? text : all(text, /```[\s\S]*?```/g).join("\n");
        const lines = code.split("\n").filter((line) => [...line].length > 90);
        long.push(...lines.map((line) => `${path}, ${cell.id}: ${line}`));
      }
    }
    assert.deepEqual(long, []);
  });

  it("each has the first steps of the ladder, predict, read a figure, find a bug, with answers to fold out", async () => {
    const steps = {
      en: ["**Predict, then run.**", "**Read the figure.**", "**Find the bug.**"],
      zh: ["**先预测，再运行。**", "**读图。**", "**找错。**"],
    };
    for (const { path, language } of await findChapters(folder)) {
      const { cells } = await readNotebook(path);
      const startOf = (cell: Cell) => textOf(cell.source);
      const [predict, read, bug] = steps[language].map((step) => {
        const at = cells.findIndex((cell) => cell.cell_type === "markdown" && startOf(cell).includes(step));
        assert.ok(at !== -1, `${path} lacks ${step}`);
        return at;
      });
      assert.equal(cells[predict + 1].cell_type, "code", `${path}: what is predicted is run next`);
      for (const question of [read, bug])
        assert.ok(
          cells[question + 1].metadata.tags?.includes("solution"),
          `${path}: ${startOf(cells[question])}`,
        );
      assert.match(startOf(cells[bug]), /```typescript\n/, path);
    }
  });

  it("each says how long it takes: as its exercises do, the same in both languages, and the plans add it up", async () => {
    const said = { five: 5, ten: 10, fifteen: 15, twenty: 20, thirty: 30 } as Record<string, number>;
    const ladder = 10; // a prediction, a figure to read, a bug to find
    const times = new Map<string, { read: number; exercises: number }>();
    const chapters = await findChapters(folder);
    for (const { path, number, language } of chapters) {
      const texts = (await readNotebook(path)).cells
        .filter(({ cell_type }) => cell_type === "markdown")
        .map(({ source }) => textOf(source));
      const head =
        language === "en"
          ? /\*\*Time:\*\* (\d+) minutes to read and run, (\d+) more for the exercises/
          : /\*\*所需时间\*\*：阅读和运行 (\d+) 分钟，练习另需 (\d+) 分钟/;
      const [read, exercises] = (head.exec(texts[0])?.slice(1) ?? assert.fail(`${path}: ${head}`)).map(
        Number,
      );
      const one = language === "en" ? /\*\*[A-Z] \(([a-z]+) minutes\)\./g : /\*\*[A-Z]（(\d+) 分钟）\*\*：/g;
      const minutes = [...texts.join("\n").matchAll(one)].map(([, found]) => said[found] ?? Number(found));
      assert.equal(
        exercises,
        minutes.reduce((sum, n) => sum + n, ladder),
        path,
      );
      if (times.has(number)) assert.deepEqual({ read, exercises }, times.get(number), path);
      times.set(number, { read, exercises });
    }
    const totals = (key: "read" | "exercises", of: Iterable<string> = times.keys()) =>
      [...of].reduce((sum, number) => sum + times.get(number)![key], 0);
    const page = (name: string) => readFile(join(folder, name), "utf8");
    for (const name of ["teacher.md", "zh/teacher.md"]) {
      const rows = [...(await page(name)).matchAll(/^\| \d+ \| ([\d., 、]+) \| (\d+) \| (\d+)/gm)];
      assert.equal(rows.length, 11, name);
      for (const [row, numbers, ...columns] of rows) {
        const of = numbers.split(/, |、/);
        assert.deepEqual(columns.map(Number), [totals("read", of), totals("exercises", of)], row);
      }
    }
    const words = ["seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen"];
    const hours = (key: "read" | "exercises") => words[Math.round(totals(key) / 60) - 7];
    assert.match(
      await page("learner.md"),
      new RegExp(`about ${hours("read")} hours to read and run, and ${hours("exercises")} more`),
    );
  });

  it("each is headed in both languages, its own first", async () => {
    const headings = new Map<string, unknown>();
    for (const { path, slug, number, language } of await findChapters(folder)) {
      const first = (await readNotebook(path)).cells.find((cell) => cell.cell_type === "markdown");
      const heading = headingOf(first);
      assert.equal(heading?.number, number, `${path} must begin with "# ${number} English · 中文"`);
      const own = language === "en" ? heading!.english : heading!.chinese;
      assert.ok(
        textOf(first!.source).startsWith(`# ${number} ${own} · `),
        `${path}: its own language comes first`,
      );
      if (headings.has(slug))
        assert.deepEqual(heading, headings.get(slug), `${path}: the editions' headings differ`);
      headings.set(slug, heading);
    }
  });

  it("the Chinese edition keeps formulas and links, and is written in Chinese typography", async () => {
    const chapters = await findChapters(folder);
    for (const chapter of chapters.filter(({ language }) => language === "zh")) {
      const twin = await readNotebook(chapters.find(({ slug }) => slug === chapter.slug)!.path);
      const notebook = await readNotebook(chapter.path);
      for (const [i, cell] of notebook.cells.entries()) {
        if (cell.cell_type !== "markdown") continue;
        const [own, other] = [textOf(cell.source), textOf(twin.cells[i].source)];
        const place = `${chapter.path}, cell ${cell.id}`;
        const formulas = /\$\$[\s\S]*?\$\$/g;
        const symbols = (text: string) =>
          all(text, formulas).map((found) => found.replace(/\\text\{[^}]*\}|\s/g, ""));
        assert.deepEqual(symbols(own), symbols(other), `${place}: formulas`);
        const links = /\]\([^)\s]*\)/g;
        assert.deepEqual(all(own, links).sort(), all(other, links).sort(), `${place}: links`);
        assert.deepEqual(
          slips(own.replace(/^- .*\*.*$/gm, (line) => (/\p{Script=Han}/u.test(line) ? line : ""))),
          [],
          place,
        );
        assert.match(own, new RegExp(han, "u"), `${place} has no Chinese`);
      }
    }
  });

  it("what chapters show has Chinese texts, of words that stand in their code", async () => {
    const place = join(folder, "zh/texts");
    const english = (await findChapters(folder)).filter(({ language }) => language === "en");
    const codeOf = new Map<string, string>();
    for (const { number, path } of english) {
      const cells = (await readNotebook(path)).cells.filter(({ cell_type }) => cell_type === "code");
      codeOf.set(number, cells.map(({ source }) => textOf(source)).join("\n"));
    }
    const stale: string[] = [];
    const ugly: string[] = [];
    for (const name of await readdir(place)) {
      const number = name.replace(/\.json$/, "");
      const code = number === "common" ? [...codeOf.values()].join("\n") : codeOf.get(number);
      assert.ok(code, `${name} belongs to no chapter`);
      const known = new Set(code.match(/\p{L}+/gu));
      for (const [text, own] of Object.entries(JSON.parse(await readFile(join(place, name), "utf8")))) {
        if (own === text) continue; // a name that stays as it is
        const words = text.replace(/\{[nxsl]\d?\}/g, " ").match(/\p{L}{3,}/gu) ?? [];
        if (words.some((word) => !known.has(word) && !libraryWords.has(word))) stale.push(`${name}: ${text}`);
        // Numbers, names and code are Latin, texts are Chinese.
        const filled = String(own)
          .replace(/\w+\([^)]*\)/g, "X")
          .replace(/\{([nxsl])\d?\}/g, (_, kind) => (kind === "n" ? "3" : kind === "x" ? "X" : "字"));
        ugly.push(...slips(filled).map((slip) => `${name}: ${own}: ${slip}`));
      }
    }
    assert.deepEqual(stale, [], "in no code any more");
    assert.deepEqual(ugly, []);
  });

  it("no title, label or hint of an exercise lacks its Chinese", async () => {
    const texts = textsOf({ language: "zh", folder: join(folder, "zh") })!;
    const found: string[] = [];
    let count = 0;
    for (const { path, number } of await findChapters(folder)) {
      for (const { cell_type, metadata, id, source } of (await readNotebook(path)).cells) {
        if (cell_type !== "code" || metadata.tags?.includes("solution")) continue;
        for (const forms of shownTexts(textOf(source), id?.startsWith("exercise") ?? false)) {
          count++;
          const isSaid = forms.some((text) => {
            texts.missing.clear();
            texts.say(text);
            return texts.missing.size === 0;
          });
          if (!isSaid) found.push(`${number}, ${id}: ${forms[0]}`);
        }
      }
    }
    assert.ok(count > 400, `only ${count} texts were found`);
    assert.deepEqual(found, []);
  });

  it("pages that are no chapters are there in both, with the same code and the same terms", async () => {
    const pagesOf = async (place: string) =>
      (await readdir(place)).filter((name) => name.endsWith(".md")).sort();
    const names = await pagesOf(folder);
    assert.deepEqual(await pagesOf(join(folder, "zh")), names);
    for (const name of names) {
      const english = await readFile(join(folder, name), "utf8");
      const chinese = await readFile(join(folder, "zh", name), "utf8");
      assert.deepEqual(all(chinese, /```[\s\S]*?```/g), all(english, /```[\s\S]*?```/g), `zh/${name}: code`);
      assert.deepEqual(slips(chinese), [], `zh/${name}`);
      if (name !== "glossary.md") continue; // its headings are terms, in both languages
      const terms = (text: string) => all(text, /^### .+$/gm).map((line) => line.slice(4).split(" · "));
      assert.deepEqual(
        terms(chinese).map(([own, other]) => [other, own]),
        terms(english),
        `zh/${name}: terms`,
      );
    }
  });
});
