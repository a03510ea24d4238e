// What stands in for Node's modules on a page, against Node's own.
import nodeAssert from "node:assert/strict";
import { inspect } from "node:util";
import { Files, normal } from "../../lib/site/client/files.ts";
import ours from "../../lib/site/client/node/assert.ts";

/** How a call ended: its error's name and code, or nothing. */
const ending = (body: () => unknown): string => {
  try {
    body();
    return "passes";
  } catch (error) {
    return `${(error as Error).name} ${(error as { code?: string }).code ?? ""}`;
  }
};

const values: unknown[] = [
  0,
  -0,
  1,
  Number.NaN,
  "",
  "a",
  true,
  null,
  undefined,
  1n,
  [1, 2],
  [1, [2, Number.NaN]],
  [1, 2, 3],
  { a: 1 },
  { a: 1, b: undefined },
  { a: { b: [1] } },
  new Map([["a", [1]]]),
  new Map([["a", [2]]]),
  new Set([1, 2]),
  new Set([2, 3]),
  new Date(5),
  new Date(6),
  /a/g,
  /a/,
  Float32Array.of(1, 2),
  Float32Array.of(1, 3),
  Uint8Array.of(1, 2),
];

describe("site: assert on a page", () => {
  it("agrees with Node's for every pair of values", () => {
    const copies = structuredClone(values);
    for (const [i, a] of values.entries()) {
      for (const [j, b] of copies.entries()) {
        for (const name of ["equal", "notEqual", "deepEqual", "notDeepEqual"] as const)
          nodeAssert.equal(
            ending(() => ours[name](a, b)),
            ending(() => nodeAssert[name](a, b)),
            `${name}(${inspect(a)}, ${inspect(b)}) (${i}, ${j})`,
          );
      }
      nodeAssert.equal(
        ending(() => ours(a)),
        ending(() => nodeAssert(a)),
        `assert(${inspect(a)})`,
      );
    }
  });

  it("agrees with Node's on errors that are expected", async () => {
    class Own extends Error {}
    const bodies = [
      () => {
        throw new TypeError("bad thing");
      },
      () => {
        throw new Own("own");
      },
      () => {},
    ];
    const wanted = [
      undefined,
      TypeError,
      Own,
      Error,
      /bad/,
      /other/,
      { message: "own" },
      { message: /thing/ },
    ];
    for (const body of bodies)
      for (const each of [...wanted, (error: unknown) => error instanceof Own]) {
        nodeAssert.equal(
          ending(() => ours.throws(body, each as RegExp)),
          ending(() => nodeAssert.throws(body, each as RegExp)),
          `throws(${body}, ${inspect(each)})`,
        );
        const ends = async (assert: typeof nodeAssert | typeof ours) => {
          try {
            await assert.rejects(async () => body(), each as RegExp);
            return "passes";
          } catch (error) {
            return (error as Error).name;
          }
        };
        nodeAssert.equal(await ends(ours), await ends(nodeAssert), `rejects(${body}, ${inspect(each)})`);
      }
    nodeAssert.throws(() => ours.fail("so"), {
      name: "AssertionError",
      message: "so",
      code: "ERR_ASSERTION",
    });
    nodeAssert.throws(() => ours(false, "said"), { message: "said", generatedMessage: false });
    nodeAssert.throws(() => ours.equal(1, 2), /1 !== 2/);
  });
});

describe("site: files on a page", () => {
  it("paths are as on Linux, from the home folder", () => {
    for (const [path, wanted] of [
      ["/a/./b/../c//d", "/a/c/d"],
      ["x.txt", "/home/x.txt"],
      ["../../..", "/"],
      ["/", "/"],
    ])
      nodeAssert.equal(normal(path), wanted);
  });

  it("refuse what Node's refuse, with its codes", async () => {
    const files = new Files();
    const code = (wanted: string) => (error: unknown) => (error as { code: string }).code === wanted;
    nodeAssert.throws(() => files.write("/none/x", "text"), code("ENOENT"));
    nodeAssert.throws(() => files.write("/tmp", "text"), code("EISDIR"));
    nodeAssert.throws(() => files.makeFolder("/tmp"), code("EEXIST"));
    nodeAssert.throws(() => files.remove("/tmp/none"), code("ENOENT"));
    nodeAssert.throws(() => files.remove("/tmp"), code("ERR_FS_EISDIR"));
    await nodeAssert.rejects(files.read("/tmp"), code("EISDIR"));
    await nodeAssert.rejects(files.read("/tmp/none"), code("ENOENT"));
    files.makeFolder("/tmp/a/b", true);
    files.write("/tmp/a/b/c", "text");
    nodeAssert.deepEqual(files.list("/tmp/a"), ["b"]);
    await files.move("/tmp/a/b/c", "/tmp/d");
    nodeAssert.equal(new TextDecoder().decode(await files.read("/tmp/d")), "text");
    files.remove("/tmp/a", { recursive: true });
    nodeAssert.equal(files.isFolder("/tmp/a/b"), false);
  });

  it("what is read is the reader's own", async () => {
    const files = new Files();
    files.write("/tmp/x", Uint8Array.of(1, 2, 3));
    (await files.read("/tmp/x"))[0] = 9;
    nodeAssert.deepEqual([...(await files.read("/tmp/x"))], [1, 2, 3]);
  });
});
