import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeFileAtomic } from "../../lib/util/files.ts";

describe("writeFileAtomic", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "slimlab-test-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it("makes folders, replaces the file and leaves nothing else behind", async () => {
    const path = join(folder, "a", "b.txt");
    await writeFileAtomic(path, "old");
    await writeFileAtomic(path, "new");
    assert.equal(await readFile(path, "utf8"), "new");
    assert.deepEqual(await readdir(join(folder, "a")), ["b.txt"]);
  });

  it("keeps the old file when the write fails", async () => {
    const path = join(folder, "kept.txt");
    await writeFileAtomic(path, "old");
    await assert.rejects(writeFileAtomic(path, 5 as unknown as string));
    assert.equal(await readFile(path, "utf8"), "old");
    assert.deepEqual(await readdir(folder), ["kept.txt"]);
  });
});
