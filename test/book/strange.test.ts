// Strange and hostile notebooks: nothing but the notebooks' folder gets into a book, data never become markup, and what
// is strange costs its own place only.
import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { request } from "node:http";
import type { AddressInfo } from "node:net";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { serveFolder } from "../../lib/book/serve.ts";
import { type Book, buildBook } from "../../lib/book/site.ts";
import type { Notebook } from "../../lib/notebook/notebook.ts";
import type { RunReport } from "../../lib/notebook/report.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { seeded } from "../../lib/util/random.ts";
import { code, markdown, notebook, save } from "../chapters/notebooks.ts";
import { browserPath, startBrowser } from "./browser.ts";

/** A bookshop of its own for each test: notebooks, executed copies, the book. */
async function shop() {
  const folder = await mkdtemp(join(tmpdir(), "slimlab-strange-"));
  const options = {
    notebooks: join(folder, "notebooks"),
    executed: join(folder, "run"),
    output: join(folder, "book"),
  };
  await mkdir(options.notebooks, { recursive: true });
  await mkdir(options.executed, { recursive: true });
  return {
    folder,
    options,
    write: (name: string, content: Notebook | string) => save(join(options.notebooks, name), content),
    /** Writes a notebook and its executed copy. */
    async both(name: string, content: unknown) {
      await save(join(options.notebooks, name), content as Notebook);
      await save(join(options.executed, name), content as Notebook);
    },
    build: (report?: RunReport) => buildBook({ ...options, report }),
    page: (name: string) => readFile(join(options.output, name), "utf8"),
    files: async () =>
      (await readdir(options.output, { recursive: true, withFileTypes: true }))
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name)),
  };
}
type Shop = Awaited<ReturnType<typeof shop>>;

const bundle = (data: unknown, rest: object = {}) => ({
  output_type: "display_data",
  metadata: {},
  data,
  ...rest,
});
const withOutputs = (outputs: unknown, cell: object = {}) => ({
  ...notebook(markdown("# Strange")),
  cells: [markdown("# Strange"), { ...code("1"), outputs, ...cell }, code("'the next cell'")],
});

describe("strange notebooks", function () {
  this.timeout(300_000);
  let place: Shop;
  beforeEach(async () => {
    place = await shop();
  });
  afterEach(() => rm(place.folder, { recursive: true }));

  it("takes along files of the notebooks' folder only, by whatever way they are linked (R4)", async () => {
    const secret = "a secret that no book may hold";
    await mkdir(join(place.folder, "secret"));
    const key = join(place.folder, "secret", "id_rsa");
    await writeFile(key, secret);
    await writeFile(join(place.folder, "secret", "own.ipynb"), JSON.stringify(notebook(markdown(secret))));
    await writeFile(join(place.options.notebooks, ".env"), secret);
    await writeFile(join(place.options.notebooks, "open.txt"), "open");
    await symlink(key, join(place.options.notebooks, "inside.txt"));
    await symlink(join(place.folder, "secret"), join(place.options.notebooks, "inside"));
    await symlink(join(place.folder, "secret", "own.ipynb"), join(place.options.notebooks, "2-own.ipynb"));
    await symlink(key, join(place.options.notebooks, "notes.md"));
    await symlink(key, join(place.options.notebooks, "index.md"));
    await symlink(key, join(place.options.executed, "3-run.ipynb"));
    await place.write("3-run.ipynb", notebook(markdown("# Run")));
    const ways = [
      "../secret/id_rsa",
      "../secret/id_rsa?x=1",
      key,
      pathToFileURL(key).pathname,
      "..%2fsecret%2fid_rsa",
      "%2e%2e/secret/id_rsa",
      "./../notebooks/../secret/id_rsa",
      "inside.txt",
      "inside/id_rsa",
      ".env",
      "/etc/hostname",
      "../secret",
    ];
    const links = ways.map((way, i) => `[l${i}](<${way}>) ![p${i}](<${way}>)`).join("\n\n");
    await place.write(
      "1-links.ipynb",
      notebook(markdown(`# Links\n\n${links}\n\n[open](open.txt) [raw](open.txt?raw=1#l1)`)),
    );
    const book = await place.build();
    for (const path of await place.files())
      assert.ok(!(await readFile(path, "latin1")).includes(secret), `${path} holds the secret`);
    assert.equal(await place.page("assets/files/open.txt"), "open");
    assert.deepEqual(
      (await readdir(join(place.options.output, "assets", "files"))).sort(),
      ["open.txt"],
      "and nothing else was copied",
    );
    assert.equal(book.leftOut.length, 2 * ways.length, book.leftOut.join("\n"));
    assert.match(book.leftOut[0], /^1-links\.html: \.\.\/secret\/id_rsa \(not in this book: it lies outside/);
    const html = await place.page("1-links.html");
    assert.match(html, /<span class="left-out" title="not in this book: it lies outside[^"]*">l0<\/span>/);
    assert.match(html, /\[p0: not in this book: it lies outside/);
    assert.match(html, /<a href="assets\/files\/open\.txt">raw<\/a>/);
    assert.match(await place.page("2-own.html"), /could not be made: not in this book: it lies outside/);
  });

  it("files of one name stay apart, and so do pages of one name (R5)", async () => {
    for (const [path, text] of [
      ["fig/a.txt", "A"],
      ["fig2/a.txt", "B"],
      ["zh/fig/a.txt", "ZH"],
    ])
      await place.write(path, text);
    const links = markdown("# Names\n\n[p](fig/a.txt) [q](fig2/a.txt) [notes](1-same.md)");
    await place.write("1-same.ipynb", notebook(links));
    await place.write("zh/1-same.ipynb", notebook(links));
    await place.write("1-same.md", "# The Markdown file of that name");
    await place.write("index.ipynb", notebook(markdown("# A notebook called index")));
    const book = await place.build();
    assert.equal(await place.page("assets/files/fig/a.txt"), "A");
    assert.equal(await place.page("assets/files/fig2/a.txt"), "B");
    assert.equal(await place.page("assets/files/zh/fig/a.txt"), "ZH");
    assert.match(await place.page("1-same.html"), /href="assets\/files\/fig\/a\.txt">p</);
    assert.match(await place.page("1-same.html"), /href="1-same-2\.html">notes</);
    assert.match(await place.page("zh/1-same.html"), /href="\.\.\/assets\/files\/zh\/fig\/a\.txt">p</);
    assert.match(await place.page("1-same-2.html"), /The Markdown file of that name/);
    assert.match(await place.page("index-2.html"), /A notebook called index/);
    assert.match(await place.page("index.html"), /href="index-2\.html"/);
    assert.deepEqual(book.leftOut, ["zh/1-same.html: fig2/a.txt (there is no such file)"], "zh has no fig2");
  });

  const oddities: Record<string, [unknown, RegExp]> = {
    "a null output": [withOutputs([null]), /This output could not be shown: it is no object, but null/],
    "outputs that are no list": [withOutputs({ a: 1 }), /the next cell/],
    "outputs that are a number": [withOutputs(5), /the next cell/],
    "an unknown type of output": [
      withOutputs([{ output_type: "new" }]),
      /its output_type is &quot;new&quot;/,
    ],
    "data that are text": [withOutputs([bundle("x")]), /its data are &quot;x&quot;/],
    "a traceback that is text": [
      withOutputs([{ output_type: "error", ename: "E", evalue: "v", traceback: "the trace" }]),
      /the trace/,
    ],
    "a traceback of numbers": [
      withOutputs([{ output_type: "error", ename: 1, evalue: {}, traceback: [1, null, {}] }]),
      /class="error"/,
    ],
    "tags that are a number": [withOutputs([], { metadata: { tags: 5 } }), /the next cell/],
    "tags that are an object": [withOutputs([], { metadata: { tags: { a: 1 } } }), /the next cell/],
    "metadata that are null": [withOutputs([], { metadata: null }), /the next cell/],
    "a stream of numbers": [
      withOutputs([{ output_type: "stream", name: 1, text: [1, null] }]),
      /the next cell/,
    ],
    "a picture that is no base64": [
      withOutputs([bundle({ "image/png": 'AAAA"/onerror="alert(1)"/x="' })]),
      /its image\/png is not base64/,
    ],
    "a chart whose title is a number": [
      withOutputs([
        bundle({
          "application/vnd.plotly.v1+json": {
            data: [{ type: "bar", x: ["a"], y: [1] }],
            layout: { title: { text: 2024 } },
          },
        }),
      ]),
      /<figcaption>2024<\/figcaption>/,
    ],
    "a chart whose description is a number": [
      withOutputs([bundle({ "application/vnd.plotly.v1+json": { data: [], layout: { meta: { alt: 5 } } } })]),
      /<figure class="plot"/,
    ],
    "a chart without a layout": [
      withOutputs([bundle({ "application/vnd.plotly.v1+json": { data: [{ type: "pie" }] } })]),
      /<figure class="plot"/,
    ],
    "a chart of nulls": [
      withOutputs([bundle({ "application/vnd.plotly.v1+json": { data: [null], layout: null } })]),
      /could not be shown|<figure class="plot"/,
    ],
    "a malformed percent sign": [
      notebook(markdown("# Odd\n\n![x](attachment:%E0%A4%A) [bad](100%25%zz.html) [worse](%E0%A4%A)")),
      /class="left-out"|there is no such file/,
    ],
    "attachments that are text": [
      notebook({ ...markdown("# Odd\n\n![x](attachment:a)"), attachments: { a: "text" } } as never),
      /\[x: there is no such file\]/,
    ],
    "an attached page": [
      notebook({
        ...markdown("# Odd\n\n[x](attachment:a)"),
        attachments: { a: { "text/html": "PHNjcmlwdD4=" } },
      } as never),
      /there is no such file/,
    ],
    "links to folders": [
      notebook(markdown("# Odd\n\n[here](.) [sub](sub) [up](../sub)")),
      /title="not in this book: it is a folder">here/,
    ],
    "a missing picture": [notebook(markdown("# Odd\n\n![x](nothere.png)")), /\[x: there is no such file\]/],
  };
  it("one strange thing costs its own place only, and says so there (R6, R14)", async () => {
    await place.write("sub/x.txt", "x");
    const names = Object.keys(oddities);
    for (const [i, name] of names.entries()) await place.both(`1.${i}-odd.ipynb`, oddities[name][0]);
    await mkdir(join(place.options.notebooks, "2-folder.ipynb"));
    await symlink(join(place.options.notebooks, "nowhere"), join(place.options.notebooks, "3-broken.ipynb"));
    await mkdir(join(place.options.notebooks, "4-folder.md"));
    await place.both("5-good.ipynb", notebook(markdown("# Good"), code("'a good cell'")));
    await place.build();
    for (const [i, name] of names.entries())
      assert.match(await place.page(`1.${i}-odd.html`), oddities[name][1], name);
    assert.match(await place.page("2-folder.html"), /could not be made: not in this book: it is a folder/);
    assert.match(await place.page("3-broken.html"), /could not be made: there is no such file/);
    assert.match(await place.page("4-folder.html"), /could not be made/);
    assert.match(await place.page("5-good.html"), /a good cell/);
  });

  it("no notebook that reads as one ends the book: 300 of them with any value anywhere", async () => {
    const random = seeded(7);
    const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)];
    const values = [null, 5, -1, "", "x", "<b>", [], [null], {}, { text: 3 }, true, "__proto__", 1e300];
    const whole = () => ({
      cells: [
        markdown("# A\n\n[l](a.txt) ![p](attachment:a)"),
        {
          ...code("1"),
          outputs: [
            { output_type: "stream", name: "stdout", text: ["a\n"] },
            { output_type: "error", ename: "E", evalue: "v", traceback: ["t"] },
            bundle({ "image/png": "AAAA", "text/plain": ["p"] }),
            bundle({ "text/html": ["<p>h</p>"] }),
            bundle({
              "application/vnd.plotly.v1+json": {
                data: [
                  { type: "bar", x: ["a", "b"], y: [1, 2], marker: { color: "#111" }, name: "n" },
                  { type: "scatter", x: [1, 2], y: [1, 2], line: { color: "red" }, text: ["t"] },
                  {
                    type: "heatmap",
                    z: [[1, 2]],
                    colorscale: [
                      [0, "#000000"],
                      [1, "#ffffff"],
                    ],
                  },
                ],
                layout: { title: { text: "t" }, xaxis: { title: { text: "x" } }, height: 300, shapes: [] },
              },
            }),
          ],
          execution_count: 3,
        },
      ],
      metadata: {},
      nbformat: 4,
      nbformat_minor: 5,
    });
    const mutate = (value: object): void => {
      const keys = Object.keys(value);
      if (keys.length === 0) return;
      const key = pick(keys) as never;
      const member = value[key] as unknown;
      if (typeof member === "object" && member !== null && random() < 0.85) mutate(member);
      else (value as Record<string, unknown>)[key] = pick(values);
    };
    for (let i = 0; i < 300; i++) {
      const one = whole();
      mutate(one.cells);
      if (random() < 0.5) mutate(one.cells);
      await place.both(`${i}-fuzz.ipynb`, one);
    }
    const book = await place.build();
    assert.equal(book.pages, 301);
  });

  it("data never become markup, in pages and in what Chromium makes of them (R7)", async function () {
    const chart = (color: unknown, more: object = {}) =>
      bundle({
        "application/vnd.plotly.v1+json": {
          data: [
            { type: "bar", x: ["a"], y: [1], marker: { color }, opacity: color, ...more },
            {
              type: "scatter",
              x: [1, 2],
              y: [1, 2],
              fill: "toself",
              fillcolor: color,
              line: { color, width: color },
              error_y: { array: [1, 1] },
            },
          ],
          layout: { height: color },
        },
      });
    const evil = '"/><script>alert(41)</script><img src=x onerror=alert(42)>';
    await place.both(
      "1-evil.ipynb",
      withOutputs(
        [
          bundle({ "image/png": 'AAAA"/onerror="alert(16)"/x="' }),
          chart(evil),
          { output_type: "stream", name: evil, text: "s" },
          bundle({ "text/html": "<b>markup</b><script>alert(43)</script><img src=y onerror=alert(44)>" }),
          bundle({ "image/svg+xml": "<svg onload=alert(45)><script>alert(46)</script></svg>" }),
        ],
        { execution_count: "<script>alert(39)</script>" },
      ),
    );
    const name = '2-"><img src=x onerror=alert(50)>.ipynb';
    const odd = "3-a #b?c%d é.ipynb";
    await place.both(name, notebook(markdown("# Named")));
    await place.both(odd, notebook(markdown("# Odd name"), code("1", [chart("red") as never])));
    await place.write(
      "4-links.ipynb",
      notebook(
        markdown(`# Links\n\n[odd](<${odd.replace("#", "%23").replace("?", "%3F").replace("%d", "%25d")}>)`),
      ),
    );
    const built: Book = await place.build({
      slimlab: "0",
      node: evil,
      started: "",
      seconds: 1,
      chapters: [
        {
          notebook: "1-evil.ipynb",
          language: "en",
          title: evil,
          status: evil as never,
          seconds: evil as never,
          cells: 1,
          executed: 1,
          failure: { cell: evil as never, line: evil as never, name: evil, message: evil, traceback: [] },
        },
        null as never,
      ],
    });
    assert.deepEqual(built.brokenLinks, []);
    for (const path of (await place.files()).filter((file) => file.endsWith(".html"))) {
      const html = await readFile(path, "utf8");
      assert.doesNotMatch(html, /<script>alert\((39|41)|<img src=x|AAAA"\/onerror/, path);
      assert.match(html, /<meta http-equiv="content-security-policy" content="default-src &#39;none&#39;/);
    }
    if (!browserPath()) return this.skip();
    const browser = await startBrowser();
    const server = await serveFolder(place.options.output, 0);
    try {
      const bases = [
        `${pathToFileURL(place.options.output)}/`,
        `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
      ];
      for (const base of bases) {
        const page = await browser.newPage();
        const alerts: string[] = [];
        page.on("dialog", (dialog) => {
          alerts.push(dialog.message());
          void dialog.dismiss();
        });
        await page.goto(`${base}index.html`);
        for (const title of ["Strange", "Named", "Odd name", "Links"]) {
          await page.goto(`${base}index.html`);
          await page.locator(".contents a", { hasText: title }).click();
          await page.locator("h1", { hasText: title }).waitFor();
        }
        await page.locator("article a", { hasText: "odd" }).click();
        await page.locator("figure.plot.drawn").waitFor();
        assert.deepEqual(alerts, [], base);
        await page.close();
      }
    } finally {
      await browser.close();
      server.closeAllConnections();
      server.close();
    }
  });

  it("markup that a cell puts out ends where it ends, or only says why it is not shown", async () => {
    const bad = {
      "a comment without an end": "before <!-- never",
      "ends of what the page has opened": "</div></div></section></article></main>",
      "a text area": "<textarea>never",
      "no more markup": "<plaintext>",
      "a style": "<style>body{color:red}",
      "a script": "<script>var x='",
      "a page to go to": '<meta http-equiv="refresh" content="0;url=https://example.org/">',
      "half a tag": '<a href="x',
      "a quote out of place": "<p a'></div><p b'>",
      "tags left open": "<div><b><table><tr><td>x",
      "another order": "<b><div></b></div>",
      "a drawing that a paragraph ends": "<svg><p><style><!--</style></div>--></style></p></svg>",
      "a style in a drawing": "<svg><style><!--</style></div>--></style></svg>",
      "very deep": "<div>".repeat(10_000),
    };
    const good = [
      "<table><tr><td>1<td>2<tr><td>3</table><ul><li>a<li>b</ul><p>c",
      '<!-- c --><!--><div class=\'a b\' hidden><br/><img src="x" alt="a>b"></div> 1 < 2',
      "<style scoped>td > a {color: red}</style><a href=/x/y>z</a>",
      '<svg viewBox="0 0 1 1"><path d="M0 0"/><g><title>x</title><foreignObject><div>a</div></foreignObject></g></svg>',
      "<!DOCTYPE html><html><head><title>x</title></head><body><p>a</body></html>",
    ];
    const cells = (html: string, type = "text/html") =>
      withOutputs([bundle({ [type]: html }), { output_type: "stream", name: "stdout", text: "AFTER" }]);
    const all = Object.values(bad);
    for (const [i, html] of all.entries()) {
      await place.both(`1.${i}-bad.ipynb`, cells(html));
      await place.both(join("zh", `1.${i}-bad.ipynb`), cells(html));
    }
    for (const [i, html] of good.entries()) await place.both(`2.${i}-good.ipynb`, cells(html));
    await place.both("3-drawn.ipynb", cells("<svg></svg></div></main>", "image/svg+xml"));
    await place.build();
    for (const [i, name] of Object.keys(bad).entries()) {
      assert.match(
        await place.page(`1.${i}-bad.html`),
        /This output could not be shown: (its|it nests)/,
        name,
      );
      assert.match(
        await place.page(join("zh", `1.${i}-bad.html`)),
        /无法显示此输出：(其中的|嵌套超过)[^<]*\p{Script=Han}/u,
        name,
      );
    }
    for (const [i, html] of good.entries()) {
      const page = await place.page(`2.${i}-good.html`);
      assert.ok(page.includes(`<div class="rich" tabindex="0">${html}</div>`), html);
      assert.doesNotMatch(page, /could not be shown/);
    }
    assert.match(await place.page("3-drawn.html"), /could not be shown: its &lt;\/div&gt;/);
  });

  it("shows no results of code that was changed since, nor of what ran after it (R15)", async () => {
    const out = (text: string) => [{ output_type: "stream", name: "stdout", text } as const];
    const cells = (second: string) =>
      notebook(
        markdown("# T"),
        code("a", out("first")),
        markdown("x"),
        code(second, out("second")),
        code("c", out("third")),
      );
    await save(join(place.options.executed, "1-t.ipynb"), cells("b"));
    await place.write("1-t.ipynb", cells("changed"));
    await place.build();
    const html = await place.page("1-t.html");
    assert.match(html, /changed after it had been run: from cell 4 on/);
    assert.match(html, /first/);
    assert.doesNotMatch(html, /second|third/);
    const prose = cells("b");
    prose.cells[0] = markdown("# Another title");
    await place.write("1-t.ipynb", prose);
    await place.build();
    const again = await place.page("1-t.html");
    assert.match(again, /Another title/);
    assert.match(again, /third/);
    assert.doesNotMatch(again, /changed after/);
  });

  it("holds no path of the machine that built it", async () => {
    const traceback = [
      `at ${packageRoot}/dist/lib/x.js:1`,
      `at ${homedir()}/y.ts`,
      `at ${pathToFileURL(place.options.notebooks)}/z.ts`,
    ];
    await place.both(
      "1-paths.ipynb",
      withOutputs([
        { output_type: "error", ename: "E", evalue: "v", traceback },
        { output_type: "stream", name: "stdout", text: `in ${place.options.notebooks}\n` },
      ]),
    );
    await place.build({
      slimlab: "0",
      node: "20",
      started: "",
      seconds: 1,
      chapters: [
        {
          notebook: "1-paths.ipynb",
          language: "en",
          title: "",
          status: "failed",
          seconds: 1,
          cells: 1,
          executed: 0,
          failure: { cell: 2, name: "E", message: `in ${packageRoot}`, traceback },
        },
      ],
    });
    const hidden = [packageRoot, place.folder, ...(homedir().length > 1 ? [`${homedir()}/`] : [])];
    for (const path of await place.files()) {
      if (path.includes("plotly.js")) continue;
      const text = await readFile(path, "latin1");
      for (const one of hidden) assert.ok(!text.includes(one), `${path} holds ${one}`);
    }
    assert.match(await place.page("1-paths.html"), /at slimlab\/dist\/lib\/x\.js:1/);
  });

  it("sweeps what killed builds left, and nothing else", async () => {
    const { output } = place.options;
    await place.write("1-t.ipynb", notebook(markdown("# T")));
    for (const name of [
      `${output}.0a1b2c3d.tmp`,
      `${output}.999999999-0a1b2c3d.tmp`,
      `${output}.${process.pid}-0a1b2c3d.tmp`,
      `${output}.notes.tmp`,
      `${output}2.0a1b2c3d.tmp`,
    ])
      await mkdir(name);
    await place.build();
    assert.deepEqual((await readdir(place.folder)).sort(), [
      "book",
      `book.${process.pid}-0a1b2c3d.tmp`,
      "book.notes.tmp",
      "book2.0a1b2c3d.tmp",
      "notebooks",
      "run",
    ]);
    // Killed between the two renames: the book of before stands aside, and is there again for the next build.
    await rename(output, `${output}.999999999-00000000.tmp.old`);
    await place.build();
    assert.match(await place.page("1-t.html"), /<h1/);
  });

  it("is served to this machine's own pages only, without ways out, in parts where asked", async () => {
    await place.write("1-t.ipynb", notebook(markdown("# T")));
    await place.build();
    await writeFile(join(place.folder, "secret.txt"), "secret");
    await symlink(join(place.folder, "secret.txt"), join(place.options.output, "out.txt"));
    const server = await serveFolder(place.options.output, 0);
    const { port } = server.address() as AddressInfo;
    const ask = (path: string, headers: Record<string, string> = {}) =>
      new Promise<{ status: number; headers: NodeJS.Dict<string | string[]>; body: string }>((done, fail) => {
        request({ host: "127.0.0.1", port, path, headers }, (response) => {
          let body = "";
          response.setEncoding("utf8").on("data", (chunk) => (body += chunk));
          response.on("end", () => done({ status: response.statusCode!, headers: response.headers, body }));
        })
          .on("error", fail)
          .end();
      });
    try {
      assert.equal((await ask("/out.txt")).status, 404);
      assert.equal((await ask("/", { host: `evil.example:${port}` })).status, 421);
      const whole = await ask("/index.html", { host: `localhost:${port}` });
      assert.equal(whole.status, 200);
      assert.equal(whole.headers["x-content-type-options"], "nosniff");
      assert.match(
        String(whole.headers["content-security-policy"]),
        /^default-src 'none'; script-src 'self'/,
      );
      const part = await ask("/index.html", { range: "bytes=2-8" });
      assert.deepEqual([part.status, part.body], [206, "doctype"]);
      assert.equal(part.headers["content-range"], `bytes 2-8/${Buffer.byteLength(whole.body)}`);
      assert.equal((await ask("/index.html", { range: "bytes=99999999-" })).status, 416);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
