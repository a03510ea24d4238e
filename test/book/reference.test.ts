import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { publicRooms, referencePages } from "../../lib/book/reference/pages.ts";
import { buildBook } from "../../lib/book/site.ts";

describe("book: API reference", function () {
  this.timeout(300_000);

  it("has every public room with what it exports, in the comments' own words, and its example", async () => {
    const pages = await referencePages();
    const byName = new Map(
      pages.filter(({ language }) => language === "en").map((page) => [page.slug, page]),
    );
    for (const room of publicRooms()) {
      const page = byName.get(`api-${room}`);
      assert.ok(page, `no page for ${room}`);
      assert.match(page.markdown, /## Example\n\n```ts\n/, room);
      assert.match(
        byName.get("api")!.markdown,
        new RegExp(`\\[slimlab/${room}\\]\\(api-${room}.html\\): \\S`),
      );
      // What the room really exports while it runs is there.
      const values = Object.keys(await import(`slimlab/${room}`));
      const absent = values.filter((name) => name !== "tf" && !page.markdown.includes(`\n### ${name}\n`));
      assert.deepEqual(absent, [], room);
    }
    const { markdown } = byName.get("api-sparse")!;
    assert.match(
      markdown,
      /function timesVector\(matrix: SparseMatrix, vector: Float32Array\): Float32Array/,
    );
    assert.match(markdown, /- `vector`: cols elements\n- Returns: rows elements/);
    assert.match(markdown, /- Throws: RangeError if the vector's length is not cols/);
    assert.doesNotMatch(pages.map((page) => page.markdown).join("\n"), /undefined: |\[object Object\]/);
  });

  it("stands in the book: the rooms' list among the chapters, every name in the search, no broken link", async () => {
    const folder = await mkdtemp(join(tmpdir(), "slimlab-reference-"));
    try {
      await writeFile(join(folder, "index.md"), "# A book\n");
      const output = join(folder, "book");
      const reference = await referencePages();
      const book = await buildBook({ notebooks: folder, executed: folder, output, reference });
      assert.deepEqual(book.brokenLinks, []);
      assert.match(
        await readFile(join(output, "index.html"), "utf8"),
        /<a href="api.html">API reference<\/a>/,
      );
      const page = await readFile(join(output, "api-runtime.html"), "utf8");
      assert.match(page, /<h3 id="storednetwork"/i);
      assert.doesNotMatch(page, /<a rel="next"/);
      const search = await readFile(join(output, "assets", "search-en.js"), "utf8");
      assert.match(search, /"heading":"storedNetwork"/);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
