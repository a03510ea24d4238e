import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { strToU8, zipSync } from "fflate";
import { csvCell, parseCsv, readMarks } from "../../lib/classroom/results.ts";
import { findSubmissions, harmless, type Submission } from "../../lib/classroom/submissions.ts";
import { code, notebook, save } from "../chapters/notebooks.ts";

const work = notebook(code("1"));
const text = JSON.stringify(work);
const bytes = strToU8(text);

describe("what a class hands in", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "slimlab-submissions-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const said = (found: Submission[]) =>
    found.map(({ student, reason }) => (reason ? `${student}: ${reason}` : student)).sort();

  const layouts: [what: string, files: string[], students: string[]][] = [
    ["one file each", ["ann.ipynb", "bob.ipynb"], ["ann", "bob"]],
    ["one folder each", ["ann/w.ipynb", "bob/deep/w.ipynb"], ["ann", "bob"]],
    ["one student with other files", ["ann/w.ipynb", "ann/data.csv", "ann/deep/x.txt"], ["ann"]],
    ["a folder around all", ["class/ann.ipynb", "class/bob.ipynb"], ["ann", "bob"]],
    [
      "nbgrader's exchange from within, one student",
      [
        "ann+ps1+2026-11-29 08:00:00.5 UTC+9f3c/w.ipynb",
        "ann+ps1+2026-11-29 08:00:00.5 UTC+9f3c/timestamp.txt",
      ],
      ["ann"],
    ],
    [
      "nbgrader, the course's folder",
      ["submitted/ann/ps1/w.ipynb", "submitted/bob/ps1/w.ipynb"],
      ["ann", "bob"],
    ],
    ["nbgrader, its submitted folder", ["ann/ps1/w.ipynb", "bob/ps1/w.ipynb"], ["ann", "bob"]],
    [
      "Moodle, folders",
      ["Ann Lee_101_assignsubmission_file_/w.ipynb", "Bo Ek_102_assignsubmission_file/w.ipynb"],
      ["Ann Lee (101)", "Bo Ek (102)"],
    ],
    [
      "Moodle, files",
      ["Ann Lee_101_assignsubmission_file_w.ipynb", "李雷_102_assignsubmission_file_w.ipynb"],
      ["Ann Lee (101)", "李雷 (102)"],
    ],
    [
      "Canvas",
      ["leeann_101_9001_w.ipynb", "ekbo_LATE_102_9002_w-1.ipynb", "ekbo_LATE_102_9003_w-2.ipynb"],
      ["ekbo (102)", "leeann (101)"],
    ],
    [
      "nbgrader's exchange, where the last of several counts",
      [
        "inbound/ann+ps1+2026-11-29 08:00:00.5 UTC+9f3c/w.ipynb",
        "inbound/ann+ps1+2026-11-30 08:00:00.5 UTC+0a1b/w.ipynb",
        "inbound/bob+ps1+2026-11-30 09:00:00.948203 UTC/w.ipynb",
      ],
      ["ann", "bob"],
    ],
    [
      "Canvas, names with numbers",
      ["student1_101_9001_w.ipynb", "student2_LATE_102_9002_w.ipynb"],
      ["student1 (101)", "student2 (102)"],
    ],
    [
      "files with an ending of the browser's",
      ["ann/w.ipynb.json", "bob.ipynb.txt", "cem/w (1).ipynb"],
      ["ann", "bob", "cem"],
    ],
    [
      "names that need care",
      ["-dash.ipynb", "O'Neil & co.ipynb", "学生.ipynb", "a b.ipynb"],
      ["-dash", "O'Neil & co", "a b", "学生"],
    ],
    [
      "what is nobody's work",
      [
        "ann/w.ipynb",
        "ann/.ipynb_checkpoints/w-checkpoint.ipynb",
        "ann/node_modules/slimlab/x.ipynb",
        "__MACOSX/ann/w.ipynb",
        "ann/._w.ipynb",
      ],
      ["ann"],
    ],
  ];
  for (const [what, files, students] of layouts) {
    it(`${what}, as a folder and as a zip archive`, async () => {
      for (const file of files) await save(join(folder, "in", file), text);
      const entries = Object.fromEntries(files.map((file) => [file, bytes]));
      await writeFile(join(folder, "in.zip"), zipSync(entries));
      for (const path of ["in", "in.zip"]) {
        const found = await findSubmissions([join(folder, path)]);
        assert.deepEqual(said(found), students, path);
        assert.equal(new Set(found.map(({ id }) => id)).size, students.length);
      }
    });
  }

  it("lateness, attempts, times and other files come along", async () => {
    await save(join(folder, "c", "ekbo_LATE_102_9002_w-1.ipynb"), text);
    await save(join(folder, "c", "ekbo_LATE_102_9003_w-2.ipynb"), JSON.stringify(notebook(code("2"))));
    const [canvas] = await findSubmissions([join(folder, "c")]);
    assert.equal(canvas.late, true);
    assert.equal(canvas.notebook!.cells[0].source, "2", "the last attempt counts");
    assert.match(canvas.notes.join(), /an earlier attempt/);
    await save(join(folder, "n", "submitted", "ann", "ps1", "w.ipynb"), text);
    await save(join(folder, "n", "submitted", "ann", "ps1", "data", "x.csv"), "1,2");
    await save(join(folder, "n", "submitted", "ann", "ps1", "timestamp.txt"), "2026-11-30 12:00:00.5 UTC\n");
    const [nbgrader] = await findSubmissions([join(folder, "n")]);
    assert.equal(nbgrader.time?.toISOString(), "2026-11-30T12:00:00.500Z");
    assert.deepEqual([...nbgrader.files.keys()], ["data/x.csv"]);
  });

  it("of several notebooks the one that was handed out counts; an archive inside is opened", async () => {
    await save(join(folder, "in", "ann", "a.ipynb"), JSON.stringify(notebook(code("'a'"))));
    await save(join(folder, "in", "ann", "work.ipynb"), JSON.stringify(notebook(code("'work'"))));
    await mkdir(join(folder, "in", "bob"));
    await writeFile(join(folder, "in", "bob", "all.zip"), zipSync({ "x/work.ipynb": bytes }));
    // The name itself before one that ends like it, and that before one that has it somewhere.
    for (const [student, names] of Object.entries({
      cem: ["my old work.ipynb", "work.ipynb"],
      dan: ["a.ipynb", "work (1).ipynb"],
    })) {
      for (const name of names) {
        await save(join(folder, "in", student, name), JSON.stringify(notebook(code(`'${name}'`))));
      }
    }
    const found = await findSubmissions([join(folder, "in")], { original: "/teacher/work.ipynb" });
    const chosen = (name: string) => found.find(({ student }) => student === name)!.notebook!.cells[0].source;
    assert.deepEqual([chosen("cem"), chosen("dan")], ["'work.ipynb'", "'work (1).ipynb'"]);
    const ann = found.find(({ student }) => student === "ann")!;
    assert.equal(ann.notebook!.cells[0].source, "'work'");
    assert.match(ann.notes.join(), /2 notebooks: work\.ipynb was graded/);
    assert.deepEqual(said(found), ["ann", "bob", "cem", "dan"]);
  });

  it("archives within archives are opened, three deep, and what they take together is limited as ever", async () => {
    const packed = (depth: number): Uint8Array =>
      depth === 0 ? bytes : zipSync({ [depth === 1 ? "work.ipynb" : `${depth}.zip`]: packed(depth - 1) });
    await mkdir(join(folder, "in"));
    for (const depth of [1, 2, 3, 4]) await writeFile(join(folder, "in", `${depth}.zip`), packed(depth));
    const found = await findSubmissions([join(folder, "in")]);
    assert.deepEqual(
      found.map(({ student, notebook, reason }) => [student, notebook?.cells[0].source ?? reason]),
      [
        ["1", "1"],
        ["2", "1"],
        ["3", "1"],
        ["4", "no notebook was handed in, only 4.zip, 4.zip, 3.zip"],
      ],
    );
    await writeFile(join(folder, "broken.zip"), zipSync({ "a.zip": strToU8("no zip") }));
    const [broken] = await findSubmissions([join(folder, "broken.zip")]);
    assert.match(broken.reason!, /^a\.zip: it is no zip archive/);
  });

  it("what is nested without end is taken out, or is the reason, in words", async () => {
    const nested = `${"[".repeat(200_000)}${"]".repeat(200_000)}`;
    const put = (name: string, content: string) => writeFile(join(folder, `${name}.ipynb`), content);
    const cell = (more: string) => `{"cell_type": "code", "source": "1", "outputs": [], ${more}}`;
    const withCell = (more: string) => `{"nbformat": 4, "metadata": {}, "cells": [${cell(more)}]}`;
    await put(
      "of-all",
      `{"nbformat": 4, "metadata": {"x": ${nested}}, "cells": [${cell('"metadata": {}')}]}`,
    );
    await put("of-cell", withCell(`"metadata": {"x": ${nested}}`));
    await put("output", withCell(`"metadata": {}, "outputs": ${nested}`));
    await put("other", withCell(`"metadata": {}, "x": ${nested}`));
    await put("source", withCell(`"metadata": {}, "source": ${nested}`));
    await put("list", nested);
    await put("format", `{"nbformat": ${nested}}`);
    const found = await findSubmissions([folder]);
    assert.deepEqual(
      Object.fromEntries(
        found.map(({ student, notebook, reason, notes }) => [
          student,
          reason ?? [notebook!.cells[0].source, ...notes],
        ]),
      ),
      {
        "of-all": ["1", "metadata is nested more than 200 deep: left out"],
        "of-cell": ["1", "cell 1: metadata is nested more than 200 deep: left out"],
        output: ["1", "cell 1: outputs is nested more than 200 deep: left out"],
        other: ["1", "cell 1: x is nested more than 200 deep: left out"],
        source: ["", "cell 1: source is nested more than 200 deep: left out"],
        list: "list.ipynb is not a notebook: it holds Array(1)",
        format: "format.ipynb must be of notebook format 4, got Array(1)",
      },
    );
    for (const { notebook } of found) if (notebook) structuredClone(notebook);
  });

  it("1.20 what cannot be read has a reason, and the others are found", async () => {
    const put = (name: string, content: string | Uint8Array) => writeFile(join(folder, name), content);
    await put("empty.ipynb", "");
    await put("cut.ipynb", text.slice(0, -5));
    await put("bom.ipynb", `\ufeff${text}`);
    await put("powershell.ipynb", Buffer.from(`\ufeff${text}`, "utf16le"));
    await put("old.ipynb", '{"nbformat": 3, "worksheets": []}');
    await put("list.ipynb", "[1]");
    await put("cells.ipynb", '{"nbformat": 4, "cells": [5]}');
    await put("binary.ipynb", Uint8Array.of(0xff, 0xfe, 0, 1, 2));
    await put("report.pdf", "%PDF");
    await put("gzip.ipynb", gzipSync(text));
    await put("zip.ipynb", zipSync({ "w.ipynb": bytes }));
    await put("pdf.ipynb", "%PDF-1.7");
    await put("page.ipynb", "\n<!DOCTYPE html><html><body>Sign in</body></html>");
    await put("lfs.ipynb", "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n");
    await put("merge.ipynb", `{\n<<<<<<< HEAD\n "cells": []\n=======\n>>>>>>> mine\n}`);
    await put("zipped.zip", "no zip");
    await mkdir(join(folder, "folder.ipynb"));
    await symlink("/etc/passwd", join(folder, "link.ipynb"));
    await symlink("/nowhere", join(folder, "dangling.ipynb"));
    if (process.platform !== "win32") execFileSync("mkfifo", [join(folder, "fifo.ipynb")]);
    await put("good.ipynb", text);
    const found = await findSubmissions([folder]);
    const reason = (student: string) => found.find((one) => one.student === student)?.reason ?? "none";
    const expected: [string, RegExp][] = [
      ["empty", /is empty: was it uploaded to its end/],
      ["cut", /is not JSON, so not a notebook$/],
      ["bom", /^none$/],
      ["powershell", /^none$/],
      ["old", /must be of notebook format 4, got 3/],
      ["list", /is not a notebook/],
      ["cells", /misshapen cell: number 1/],
      ["binary", /is not JSON/],
      ["report.pdf", /no notebook was handed in, only report\.pdf/],
      ["gzip", /is not JSON, so not a notebook: it is compressed \(gzip\)$/],
      ["zip", /: it is a zip archive$/],
      ["pdf", /: it is a PDF$/],
      ["page", /: it is a web page: was it downloaded/],
      ["lfs", /: it is Git LFS's pointer/],
      ["merge", /: Git has left the marks of a merge in it$/],
      ["zipped", /it is no zip archive/],
      ["folder", /it is a folder/],
      ["link", /it is a symbolic link/],
      ["dangling", /it is a symbolic link/],
      ["good", /^none$/],
    ];
    if (process.platform !== "win32") expected.push(["fifo", /it is not a regular file/]);
    for (const [student, message] of expected) assert.match(reason(student), message, student);
    assert.ok(!JSON.stringify(found).includes("root:"), "3.55 nothing of what a link leads to is shown");
    await assert.rejects(findSubmissions([join(folder, "none")]), /does not exist/);
    // Named by themselves they say the same.
    const alone = await findSubmissions(
      ["empty.ipynb", "link.ipynb", "zipped.zip"].map((name) => join(folder, name)),
    );
    assert.equal(alone.filter(({ reason }) => reason).length, 3);
  });

  it("a notebook that a browser has named by its JSON counts, and data does not", async () => {
    await save(join(folder, "in", "ann", "w.json"), text);
    await save(join(folder, "in", "ann", "data.json"), '{"cells": 5}');
    await save(join(folder, "in", "bob", "data.json"), '{"cells": 5}');
    await save(join(folder, "in", "cem", "w.ipynb"), JSON.stringify(notebook(code("'w'"))));
    await save(join(folder, "in", "cem", "other.json"), text);
    const found = await findSubmissions([join(folder, "in")]);
    assert.deepEqual(
      found.map(({ notebook, reason, files }) => [notebook?.cells[0].source ?? reason, [...files.keys()]]),
      [
        ["1", ["data.json"]],
        ["no notebook was handed in, only data.json", []],
        ["'w'", ["other.json"]],
      ],
    );
  });

  it("archives cannot write outside, nor unpack to more than there is room for", async () => {
    await writeFile(
      join(folder, "slip.zip"),
      zipSync({ "ann/w.ipynb": bytes, "ann/../../evil.txt": strToU8("x") }),
    );
    const [ann] = await findSubmissions([join(folder, "slip.zip")]);
    assert.deepEqual([...ann.files.keys()], []);
    // An archive whose directory says that a file has 600 MB.
    const archive = Buffer.from(zipSync({ "w.ipynb": bytes }));
    archive.writeUInt32LE(600_000_000, archive.indexOf("PK\u0001\u0002") + 24);
    await writeFile(join(folder, "bomb.zip"), archive);
    const [bomb] = await findSubmissions([join(folder, "bomb.zip")]);
    assert.match(bomb.reason!, /too much to unpack/);
  });

  it("names of an archive are read as the system that made it wrote them", async () => {
    const names = ["AAAA", "BBBBBB", "MCller", "DDDD-EEEEEE"];
    let archive = Buffer.from(zipSync(Object.fromEntries(names.map((name) => [`${name}/w.ipynb`, bytes]))));
    const written: [string, string][] = [
      ["AAAA", "d5c5c8fd"], // GB 2312, as a Chinese Windows has it
      ["BBBBBB", "e69d8ee99bb7"], // UTF-8 without its mark, as macOS has it
      ["MCller", "4dfc6c6c6572"],
      ["DDDD-EEEEEE", "cdf5cee52de78e8be4ba94"], // both at once: neither
    ];
    for (const [name, hex] of written)
      archive = Buffer.from(
        archive.toString("latin1").replaceAll(name, Buffer.from(hex, "hex").toString("latin1")),
        "latin1",
      );
    await writeFile(join(folder, "names.zip"), archive);
    const found = (await findSubmissions([join(folder, "names.zip")])).map(({ student }) => student);
    assert.deepEqual(found.slice(0, 3).sort(), ["Müller", "张三", "李雷"].sort());
    assert.equal(found.length, 4);
  });

  it("3.32 names are text on a terminal, and text in a table", async () => {
    assert.equal(harmless("a\u001b[2J\nb\u202ec\u200bd"), "a\ufffd[2J\ufffdb\ufffdc\ufffdd");
    await save(join(folder, "=cmd\u001b[31m.ipynb"), text);
    const [found] = await findSubmissions([folder]);
    assert.equal(found.student, "=cmd\ufffd[31m");
    assert.match(found.id, /^[\p{L}\p{N}._ -]+$/u);
  });
});

describe("tables", () => {
  it("no cell is a formula, and what was written is read again", () => {
    for (const evil of ["=1+1", "+1", "-1", "@x", "\t=1", " =1", "＝1"])
      assert.match(csvCell(evil), /^"?'/, evil);
    assert.equal(csvCell(-1.5), "-1.5");
    assert.equal(csvCell('say "so", please'), '"say ""so"", please"');
    const rows = [
      ["a", 'q"q', "l\nl", "", "x,y"],
      ["1", "2", "3", "4", "5"],
    ];
    assert.deepEqual(parseCsv(rows.map((row) => row.map(csvCell).join(",")).join("\r\n")), rows);
  });

  it("marks are read from what a spreadsheet saved", () => {
    const marks = readMarks(
      '\ufeffstudent,exercise,points,of,comment\r\nann,c,"1,5",2,"good, but"\r\nbob,c,,2,\r\n',
    );
    assert.deepEqual([...marks], [["ann\nc", { exercise: "c", points: 1.5, of: 2, comment: "good, but" }]]);
    assert.throws(
      () => readMarks("student,exercise,points\nann,c,many"),
      /points of ann in c must be a number, got "many"/,
    );
  });
});
