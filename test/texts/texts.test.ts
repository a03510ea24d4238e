// Texts in the reader's language: tables with placeholders, outputs translated, and the language that a notebook speaks.
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { check } from "../../lib/classroom/check.ts";
import { startKernel } from "../../lib/kernel/client.ts";
import { bars, heatmap, slider } from "../../lib/plots/index.ts";
import { plainTitle } from "../../lib/plots/plotly.ts";
import { editionOf, Texts, textsOf, translateBundle, translateText } from "../../lib/texts/index.ts";
import { tableOf } from "../../lib/util/table.ts";
import { shown } from "../chapters/notebooks.ts";

const dataOf = (value: object) => (shown(value) as unknown as { data: Record<string, never> }).data;

describe("tables of texts", () => {
  it("translate a text, forms with numbers in them, parts that are texts, and lists", () => {
    const texts = new Texts({
      layer: "层",
      fc1: "fc1",
      random: "随机",
      "{n} of {n2} neurons": "{n2} 个神经元中的 {n} 个",
      "removed, {s}": "删除，{s}",
      "read by {l}": "由 {l} 读取",
      "{s}: {x}": "{s}：{x}",
      "the {s} {s2}": "{s2}的{s}",
    });
    assert.equal(texts.say("  layer"), "  层");
    assert.equal(texts.say("1,234.5 of −3e-2 neurons"), "−3e-2 个神经元中的 1,234.5 个");
    assert.equal(texts.say("removed, random"), "删除，随机");
    assert.equal(texts.say("read by fc1, layer and fc1"), "由 fc1，层和 fc1 读取");
    assert.equal(
      texts.say("read by layer 95.5 ± 0.3, fc1 12 %, random 3"),
      "由层 95.5 ± 0.3，fc1 12 %，随机 3 读取",
    );
    assert.equal(texts.say("layer: 12.5 %"), "层：12.5 %");
    assert.equal(texts.say("fc1, fc1"), "fc1, fc1");
    assert.deepEqual([...texts.missing], []);
    // A number's place takes no word, and what has no translation stays, and is known.
    assert.equal(texts.say("some of 3 neurons"), "some of 3 neurons");
    assert.equal(texts.say("removed, by hand"), "删除，by hand");
    assert.deepEqual([...texts.missing], ["some of 3 neurons", "by hand"]);
  });

  it("put a space between Chinese and Latin, none before a mark, and a percent sign as the language does", () => {
    const texts = new Texts({
      "{n} %": "{n}%",
      layer: "层",
      fc1: "fc1",
      "{s} should be {x}": "{s}应为 {x}",
      "{s} loses {x}": "{s} 损失{x}",
      "from {x} to {x2}": "从 {x} 到 {x2}",
      "both: {l}": "两者：{l}",
    });
    assert.equal(texts.say("fc1 should be 3"), "fc1 应为 3");
    assert.equal(texts.say("layer should be (2)"), "层应为 (2)");
    assert.equal(texts.say("layer loses 2.5 %"), "层损失 2.5%");
    assert.equal(texts.say("from 百分之一 to 50 %"), "从百分之一到 50%");
    assert.equal(texts.say("both: layer 3 %, fc1 −2"), "两者：层 3%，fc1 −2");
    assert.equal(texts.say(" 97.5 %"), " 97.5%");
    assert.equal(texts.say("8.1 % (9 %)"), "8.1% (9%)");
    assert.equal(texts.say("7 % 4"), "7 % 4");
    assert.equal(texts.say("7 % n"), "7 % n");
  });

  it("prefer the form that leaves nothing untranslated", () => {
    const texts = new Texts({
      "✗ {s}": "✗ {s}",
      "✗ {s}: {s2}": "✗ {s}：{s2}",
      "half: of it": "其中：一半",
      half: "一半",
      twice: "两倍",
    });
    assert.equal(texts.say("✗ half: of it"), "✗ 其中：一半");
    assert.equal(texts.say("✗ half: twice"), "✗ 一半：两倍");
    assert.deepEqual([...texts.missing], []);
  });

  it("refuse what contradicts itself", () => {
    assert.throws(() => new Texts({ a: "甲" }, { a: "乙" }), /"a" is translated twice: 甲, 乙/);
    assert.throws(() => new Texts({ "{n} a": "{n2} 甲" }), /must have the same placeholders/);
    assert.throws(() => new Texts({ "{n} a {n}": "{n} 甲" }), /must have the same placeholders/);
  });
});

describe("outputs in another language", () => {
  const texts = () =>
    new Texts(
      {
        "What is kept, in {n} steps": "{n} 步之后还剩多少",
        layer: "层",
        share: "比例",
        "of all": "占全部",
        first: "第一",
        second: "第二",
        limit: "界限",
        "per step": "每步",
        "{n} steps": "{n} 步",
        name: "名称",
      },
      {
        "Figure: {x}": "图：{x}",
        "Bar chart": "条形图",
        "({n} of {n2}; the interactive chart shows all)": "（{n}/{n2}）",
      },
      { "A slider sets {s} from {x} to {x2}": "滑块把{s}从 {x} 调到 {x2}" },
      {
        "✗ {s}": "✗ {s}",
        "✗ {s}: {s2}": "✗ {s}：{s2}",
        "{x}: not yet": "{x}：尚未",
        "✗ {x}: not yet": "✗ {x}：尚未",
        "{s} should be {x}, got {x2}": "{s}应为 {x}，得到 {x2}",
      },
    );

  it("all of a figure: titles, axes with units, names, categories, references, sliders, description, picture", () => {
    const of = (n: number) =>
      bars(
        { first: n, second: 2 },
        {
          title: `What is kept, in ${n} steps`,
          x: "layer",
          y: { label: "share", unit: "of all" },
          references: [{ y: 1, label: "limit" }],
        },
      );
    const figure = slider([of(1), of(3)], { label: "per step", values: ["1 steps", "3 steps"] });
    const own = texts();
    const bundle = translateBundle(dataOf(figure), own);
    assert.deepEqual([...own.missing], []);
    const text = JSON.stringify(bundle["application/vnd.plotly.v1+json"]);
    for (const wanted of [
      "1 步之后还剩多少",
      "3 步之后还剩多少",
      "比例（占全部）",
      "第一",
      "界限",
      "每步：",
      "3 步",
    ])
      assert.ok(text.includes(wanted), `${wanted} in ${text}`);
    for (const english of ["kept", "layer", "share", "first", "limit", "per step"])
      assert.ok(!text.includes(english), `${english} in ${text}`);
    assert.equal(
      bundle["text/plain"],
      "图：1 步之后还剩多少。条形图。第一 1，第二 2。滑块把每步从 1 步调到 3 步",
    );
    const svg = String(bundle["image/svg+xml"]);
    assert.match(svg, />1 步之后还剩多少<.*>每步：1 步（1\/2）</s);
    // What is given in stays as it was.
    assert.equal(figure.data[0].x![0], "first");
  });

  it("a title that needs more lines, or fewer, has room for them", () => {
    const long = new Texts({
      short: "长".repeat(60),
      ["words ".repeat(20).trim()]: "短",
      row: "行",
      column: "列",
      value: "值",
    });
    const marginOf = (title: string) => {
      const figure = heatmap([1, 2], { rows: 1, cols: 2, title });
      const bundle = translateBundle(dataOf(figure), long);
      const { layout } = bundle["application/vnd.plotly.v1+json"] as {
        layout: { margin: { t: number }; title: { text: string } };
      };
      return [
        layout.margin.t - (figure.layout.margin as { t: number }).t,
        layout.title.text.split("<br>").length,
      ];
    };
    assert.deepEqual(marginOf("short"), [20, 2]);
    assert.deepEqual(marginOf("words ".repeat(20).trim()), [-20, 1]);
    const again = translateBundle(dataOf(bars({ a: 1 }, { title: "short" })), long);
    assert.equal(
      plainTitle((again["application/vnd.plotly.v1+json"] as { layout: object }).layout as never),
      "长".repeat(60),
    );
  });

  it("text that was written, values as Node shows them, tables, checks", () => {
    const own = texts();
    assert.equal(translateText("per step\n  3 steps\nother words\n", own), "每步\n  3 步\nother words\n");
    assert.equal(
      translateText("[\n  'of all',\n  'it\\'s'\n]\n{ layer: '2 steps', n: 3 }", own),
      "[\n  '占全部',\n  'it\\'s'\n]\n{ layer: '2 步', n: 3 }",
    );
    // A word alone is a name that a program prints.
    const names = "first\n  layer\n[ 'first' ]\n{ layer: 'second' }\n";
    assert.equal(translateText(names, own), names);
    const table = ["┌──────┬───┐", "│ name │ n │", "├──────┼───┤", "│ 'first' │ 1 │", "└──────┴───┘"];
    assert.equal(
      translateText(table.join("\n"), own),
      ["┌────────┬───┐", "│ 名称   │ n │", "├────────┼───┤", "│ '第一' │ 1 │", "└────────┴───┘"].join("\n"),
    );
    const html = translateBundle(tableOf(["name"], [["first"], ["a < b"]]), own)["text/html"];
    assert.match(String(html), />名称<\/th>.*>第一<\/td>.*>a &lt; b<\/td>/);
    const result = check("1-a", {
      first: () => false,
      second: () => {
        throw new Error("limit should be 1, got <0>");
      },
    });
    const { "text/plain": plain, "text/html": rich } = translateBundle(dataOf(result), own);
    assert.equal(plain, "✗ 1-a：尚未\n  ✗ 第一\n  ✗ 第二：界限应为 1，得到 <0>");
    assert.match(String(rich), /✗ 1-a：尚未.*界限应为 1，得到 &lt;0&gt;/);
  });
});

describe("a notebook's language", () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "slimlab-texts-"));
    await mkdir(join(folder, "zh/texts"), { recursive: true });
    await writeFile(join(folder, "zh/texts/own.json"), JSON.stringify({ "hello, {n}": "你好，{n}" }));
    const metadata = { kernelspec: { name: "slimlab" }, slimlab: { language: "zh" } };
    const notebook = { cells: [], metadata, nbformat: 4, nbformat_minor: 5 };
    await writeFile(join(folder, "copied.ipynb"), JSON.stringify(notebook, null, 1));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it("is its folder's, unless it says so itself or the reader does", () => {
    const of = (env: Record<string, string>, place = folder) => editionOf(env, place).language;
    assert.equal(of({}), "en");
    assert.equal(of({}, join(folder, "zh")), "zh");
    assert.equal(of({ JPY_SESSION_NAME: join(folder, "zh/1.ipynb") }), "zh");
    assert.equal(of({ JPY_SESSION_NAME: join(folder, "1.ipynb") }, join(folder, "zh")), "en");
    assert.equal(of({ JPY_SESSION_NAME: join(folder, "copied.ipynb") }), "zh");
    assert.equal(of({ SLIMLAB_LANGUAGE: "en" }, join(folder, "zh")), "en");
    assert.equal(of({ SLIMLAB_LANGUAGE: "fr" }, join(folder, "zh")), "zh");
    assert.equal(textsOf({ language: "en", folder }), undefined);
  });

  it("is what its kernel speaks, with the tables beside the notebook", async () => {
    const kernel = await startKernel({ cwd: join(folder, "zh") });
    try {
      const { outputs } = await kernel.execute('console.log("hello, 3"); ["hello, 4", "else"]');
      assert.deepEqual(
        outputs.map((output) =>
          "text" in output ? output.text : "data" in output && output.data["text/plain"],
        ),
        ["你好，3\n", "[ '你好，4', 'else' ]"],
      );
    } finally {
      await kernel.shutdown();
    }
  });

  it("tables that are none are refused by their names", async () => {
    await mkdir(join(folder, "bad/texts"), { recursive: true });
    await writeFile(join(folder, "bad/texts/a.json"), '{"a": 1}');
    assert.throws(
      () => textsOf({ language: "zh", folder: join(folder, "bad") }),
      /a\.json is no table of texts: it must hold texts/,
    );
  });
});
