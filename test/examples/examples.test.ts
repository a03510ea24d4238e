// Every public room has an example, which prints what its comments say: the reference shows it.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { publicRooms } from "../../lib/book/reference/pages.ts";
import { packageRoot } from "../../lib/util/files.ts";

const rooms = publicRooms();

/** What is printed, by the comments behind `console.log`. */
const printedBy = (source: string) =>
  [...source.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(([, line]) => line);

describe("examples of the reference", function () {
  this.timeout(300_000);

  it("each public room has one, and it prints what it says", async () => {
    const sources = rooms.map((room) => join(packageRoot, "test", "examples", `${room}.ts`));
    assert.deepEqual(
      sources.filter((path) => !existsSync(path)),
      [],
    );
    // One process for all: each loads its room once, as a notebook does.
    const addresses = rooms.map((room) =>
      String(pathToFileURL(join(packageRoot, "dist", "test", "examples", `${room}.js`))),
    );
    const program = `for (const [i, address] of ${JSON.stringify(addresses)}.entries()) {
      console.log("== " + i);
      await import(address);
    }
    process.exit();`;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ["--input-type=module", "--eval", program],
      {
        cwd: packageRoot,
      },
    );
    const printed = stdout.split(/^== \d+\n/m).slice(1);
    for (const [i, room] of rooms.entries()) {
      const expected = printedBy(readFileSync(sources[i], "utf8"));
      assert.ok(expected.length > 0, `${room} says nothing`);
      assert.deepEqual(printed[i].trim().split("\n"), expected, room);
    }
  });
});
