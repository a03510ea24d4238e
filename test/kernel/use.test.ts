// The kernel under real use: what other kernels' users have reported, each with its right answer.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import * as zmq from "zeromq";
import type { ExecuteResult, KernelClient } from "../../lib/kernel/client.ts";
import { kernelArguments } from "../../lib/kernel/client.ts";
import { address, parseConnection } from "../../lib/kernel/node/connection.ts";
import { startKernel } from "./held.ts";
import { nextMessage, until } from "./waiting.ts";

const env = { SLIMLAB_HISTORY: "off" };

function text(result: ExecuteResult): string {
  const shown = result.outputs.find((one) => one.output_type === "execute_result");
  return String(shown?.data["text/plain"] ?? JSON.stringify(result.outputs));
}

function streamed(result: ExecuteResult): string {
  return result.outputs.map((one) => (one.output_type === "stream" ? one.text : "")).join("");
}

function failure(result: ExecuteResult): string {
  const error = result.outputs.find((one) => one.output_type === "error");
  assert.ok(error, `an error was expected, got ${JSON.stringify(result.outputs)}`);
  return stripVTControlCharacters(`${error.evalue}\n${error.traceback.join("\n")}`);
}

describe("kernel: real use", () => {
  let kernel: KernelClient;
  const run = (code: string, options = {}) => kernel.execute(code, options);
  before(async () => {
    kernel = await startKernel({ env, args: ["--check=off"] });
  });
  after(() => kernel?.shutdown());

  describe("questions after the cell's end", () => {
    const onInput = () => "answer";
    const printed = (wanted: string) =>
      nextMessage(kernel, ({ header, content }) => {
        return header.msg_type === "stream" && content.text.includes(wanted);
      });
    it("are answered at once, with null, and the kernel goes on", async () => {
      const late = printed("got");
      await run("setTimeout(() => console.log('got', prompt('who?')), 20); 1", { onInput });
      assert.match((await late).content.text, /got null/);
      assert.equal(text(await run("prompt('next?')", { onInput })), "'answer'");
    });
    it("fail, by input(), with a sentence that says why", async () => {
      const late = printed("who");
      await run(
        "setTimeout(() => { try { input('who?') } catch (error) { console.log('who', error.message) } }, 20)",
        { onInput },
      );
      assert.match((await late).content.text, /Cell \[\d+\] has ended/);
    });
  });

  describe("values that no message can hold", () => {
    const own = (bundle: string) => `({ [Symbol.for('Jupyter.display')]: () => (${bundle}) })`;
    it("are refused where they are shown, and the error names the place", async () => {
      for (const [code, place] of [
        [own("{ 'application/json': { a: 1n } }"), /execute_result\.data\.application\/json\.a is a BigInt/],
        [
          "const loop = { a: [] }; loop.a.push(loop); display({ 'application/json': loop }, { raw: true })",
          /json\.a\[0\] is an object within itself/,
        ],
        ["display(1, { metadata: { x: 1n } })", /display_data\.metadata\.x is a BigInt/],
        ["comms.open('t').send({ n: 1n })", /comm_msg\.data\.n is a BigInt/],
      ] as const) {
        assert.match(failure(await run(code)), place, code);
      }
    });
    it("never cost an expression's reply", async () => {
      const { content } = await run("1", {
        userExpressions: { bad: own("{ 'application/json': 1n }"), good: "2" },
      });
      assert.match(content.user_expressions.bad.evalue, /BigInt/);
      assert.equal(content.user_expressions.good.data["text/plain"], "2");
    });
    it("may hold one object twice", async () => {
      const { outputs } = await run(
        "const once = { a: 1 }; display({ 'application/json': [once, once] }, { raw: true }); undefined",
      );
      assert.deepEqual("data" in outputs[0] && outputs[0].data["application/json"], [{ a: 1 }, { a: 1 }]);
    });
  });

  it("what child processes write to the kernel's own output is the cell's", async () => {
    const result = await run(`const { execSync, spawnSync, spawn, exec } = require("child_process");
      execSync("echo one; echo two >&2", { stdio: "inherit" });
      spawnSync("echo", ["three"], { stdio: ["ignore", "inherit", "pipe"] });
      await new Promise((done) => spawn("echo", ["four"], { stdio: "inherit" }).on("close", done));
      require("fs").writeSync(1, "five\\n");
      process.stdout.end("six\\n");
      String(execSync("echo kept"))`);
    assert.equal(streamed(result), "one\ntwo\nthree\nfour\nfive\nsix\n");
    assert.equal(text(result), "'kept\\n'");
  });

  it("process.stdin asks the person, line by line, or says that there is nobody", async () => {
    const code = `const rl = require("readline/promises").createInterface({ input: process.stdin, output: process.stdout });
      const name = await rl.question("your name? "); rl.close(); name`;
    const answered = await run(code, { onInput: () => "Ada" });
    assert.equal(text(answered), "'Ada'");
    assert.match(streamed(answered), /your name\?/);
    assert.match(failure(await run(code)), /process\.stdin has nobody to read from/);
    assert.equal(text(await run(code, { onInput: () => "Bob" })), "'Bob'");
  });

  it("what a cell takes away from the language is put back, and said", async () => {
    for (const [code, name] of [
      ["Array.prototype[Symbol.iterator] = null", "Array.prototype[Symbol.iterator]"],
      ["delete Array.prototype[Symbol.iterator]", "Array.prototype[Symbol.iterator]"],
      ["globalThis.Promise = null", "Promise"],
      ["Map.prototype.get = Array.prototype.push = undefined", "Array.prototype.push, Map.prototype.get"],
      ["globalThis.process = globalThis.Error = globalThis.Symbol = globalThis.Object = null", "Object, "],
      [
        "setTimeout(() => { delete Set.prototype.add; Array.prototype.map = 5 }, 1); await new Promise((d) => setTimeout(d, 20))",
        "Set.prototype.add",
      ],
    ]) {
      const result = await run(code);
      assert.ok(streamed(result).includes(name), `${code}: ${JSON.stringify(result.outputs)}`);
      assert.equal(
        text(await run("[...[1, 2].map((x) => x + 1)].length + new Map([[1, 2]]).get(1)!")),
        "4",
        code,
      );
    }
    // What is replaced by another function is its writer's to answer for.
    await run(
      "const { map } = Array.prototype; Array.prototype.map = function (...all) { return map.apply(this, all) }",
    );
    assert.equal(streamed(await run("Array.prototype.map === map")), "");
    await run("Array.prototype.map = map");
  });

  it("an object that every promise waits for is no object of the next cell", async () => {
    const running = run("console.log('going'); Object.prototype.then = function () {}");
    await nextMessage(kernel, ({ header }) => header.msg_type === "stream");
    await kernel.interrupt();
    await running;
    assert.equal(text(await run("1 + 1")), "2");
  });

  it("promises show without Node's marks on them", async () => {
    const printed = streamed(await run("console.log(Promise.resolve(3), { p: new Promise(() => {}) })"));
    assert.equal(printed, "Promise { 3 } { p: Promise { <pending> } }\n");
    assert.equal(text(await run("[Promise.resolve(3)]")), "[ Promise { 3 } ]");
    assert.equal(text(await run("globalThis")).includes("slimlab"), false);
  });

  it("an error in a long cell of long ago is told with its place", async () => {
    const filler = Array.from({ length: 200 }, (_, i) => `const filler${i} = (x) => x * ${i} + 1;`);
    await run(
      [...filler.slice(0, 100), "  function deep() { throw new Error('deep') }", ...filler.slice(100)].join(
        "\n",
      ),
    );
    await run("'another'");
    for (let i = 0; i < 2; i++)
      assert.match(failure(await run("deep()")), /Cell \[\d+\], line 101, column 27/);
  });

  it("an error's callers that wait are all in its stack", async () => {
    await run("async function load() { await null; throw new Error('bad data') }");
    await run("async function train() { await load() }");
    const shown = failure(await run("await train()"));
    assert.match(
      shown,
      /at load \(Cell \[\d+\]:1:36\)\n\s+at async train \(.*\n\s+at async Cell|at async train/,
    );
    assert.match(shown, /at async train \(Cell \[\d+\]:1:\d+\)/);
  });

  describe("Node's own test runner", () => {
    const untimed = (result: ExecuteResult) =>
      stripVTControlCharacters(streamed(result)).replaceAll(/ \([\d.]+ ms\)/g, "");
    it("shows what tests come to below their own cell, which waits for them and fails with them", async () => {
      const first = await run(`const test = require("node:test"), { equal } = require("assert");
        test("waits", async () => { await null; console.log("within") });
        test("todo", { todo: true }, () => { throw new Error("not yet") });
        test.skip("skipped", () => {});`);
      assert.equal(first.status, "ok");
      assert.equal(untimed(first), "within\n✔ waits\n﹣ todo, to do\n﹣ skipped, skipped\n");
      const second = await run(`import { describe, it } from "node:test";
        describe("suite", () => { it("good", () => {}); it("bad", () => equal(1, 2)) });
        await test("outer", (t) => t.test("inner", () => { throw new TypeError("inside") }));
        "the end"`);
      const said = untimed(second);
      assert.match(said, /^▶ suite\n {2}✔ good\n {2}✖ bad\n {4}AssertionError: /);
      assert.match(
        said,
        /\n✖ suite\n▶ outer\n {2}✖ inner\n {4}TypeError: inside\n {4}Cell \[\d+\], line 3, /,
      );
      assert.equal(text(second), "'the end'");
      assert.match(failure(second), /^2 tests failed: suite > bad, outer > inner\n/);
      assert.equal(
        untimed(await run("await test('third', (t) => t.diagnostic('a note'))")),
        "✔ third\nℹ a note\n",
      );
    });
    it("an error of a test's callback fails that test, and the others run", async () => {
      const result = await run(`test("late", async () => {
          setTimeout(() => { throw new Error("from a timer") }, 1);
          await new Promise((done) => setTimeout(done, 1000));
        });
        test("next", () => {});`);
      assert.match(untimed(result), /^✖ late\n {2}Error: from a timer[\s\S]*\n✔ next\n$/);
      assert.match(failure(result), /^a test failed: late\n/);
    });
  });

  describe("displays in a hot loop", () => {
    it("updates of one display: the last one shows, and memory stays", async () => {
      const before = Number(text(await run("process.memoryUsage.rss() / 2 ** 20")));
      const result = await run(
        "const bar = display(''); for (let i = 1; i <= 200_000; i++) bar.update(String(i)); undefined",
      );
      assert.equal("data" in result.outputs[0] && result.outputs[0].data["text/plain"], "'200000'");
      const after = Number(text(await run("process.memoryUsage.rss() / 2 ** 20")));
      assert.ok(after - before < 150, `memory grew from ${before} to ${after} MB`);
    });
    it("updates of several displays keep each its last, in front of what comes next", async () => {
      const { outputs } = await run(
        "const a = display('a'), b = display('b'); for (let i = 0; i < 50; i++) { a.update(i); b.update(-i) } 'end'",
      );
      assert.deepEqual(
        outputs.map((one) => "data" in one && one.data["text/plain"]),
        ["49", "-49", "'end'"],
      );
    });
    it("displays wait for the sockets", async () => {
      let count = 0;
      await run("for (let i = 0; i < 20_000; i++) display('x'.repeat(1000)); undefined", {
        onMessage: ({ header }: { header: { msg_type: string } }) => {
          if (header.msg_type === "display_data") count++;
        },
      });
      assert.equal(count, 20_000);
    });
  });

  it("a name that does not exist has nothing to inspect", async () => {
    const { content } = await kernel.request("shell", "inspect_request", {
      code: "nosuch",
      cursor_pos: 3,
      detail_level: 0,
    });
    assert.equal(content.found, false);
  });

  it("what the kernel uses is told to who asks", async () => {
    const { content } = await kernel.request("control", "usage_request");
    assert.equal(content.pid, kernel.pid);
    assert.ok(content.kernel_memory > 30e6, `${content.kernel_memory} bytes`);
    assert.ok(content.host_virtual_memory.total >= content.host_virtual_memory.available);
  });
});

describe("kernel: who may read", () => {
  it("with encryption on, nobody without the kernel's key", async () => {
    const kernel = await startKernel({ env, args: ["--check=off"], encrypt: true });
    const spy = new zmq.Subscriber({ linger: 0, receiveTimeout: 500 });
    spy.connect(address(kernel.connection, "iopub"));
    spy.subscribe();
    assert.equal(text(await kernel.execute("6 * 7")), "42");
    assert.ok((await kernel.heartbeat()) >= 0);
    await assert.rejects(spy.receive(), /timed out/);
    spy.close();
    await kernel.shutdown();
  });
  it("without it, a plain subscriber does: the test above can fail", async () => {
    const kernel = await startKernel({ env, args: ["--check=off"] });
    const spy = new zmq.Subscriber({ linger: 0, receiveTimeout: 10_000 });
    spy.connect(address(kernel.connection, "iopub"));
    spy.subscribe();
    const heard = spy.receive();
    let isHeard = false;
    void heard.then(() => {
      isHeard = true;
    });
    await until("the spy hears something", async () => {
      await kernel.execute("1");
      return isHeard;
    });
    spy.close();
    await kernel.shutdown();
  });
  it("a key of the wrong form is refused", () => {
    const ports = { shell_port: 1, iopub_port: 2, stdin_port: 3, control_port: 4, hb_port: 5 };
    assert.throws(
      () => parseConnection(JSON.stringify({ ...ports, curve_publickey: "short" })),
      /curve_publickey must be 40 characters/,
    );
  });
});

describe("kernel: its life under real use", () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "slimlab-use-"));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it("ignores arguments that it does not know, and says so in its log", async () => {
    const kernel = await startKernel({ env, args: ["hello.ts", "--anything", "--check=off"] });
    assert.equal(text(await kernel.execute("1 + 1")), "2");
    assert.match(kernel.stderr, /ignored "hello\.ts"[\s\S]*ignored "--anything"/);
    await kernel.shutdown();
  });

  it("runs cells unchecked, with a warning, where types cannot be had", async function () {
    if (process.platform === "win32") this.skip();
    // As on a full disk, no file takes a byte.
    const kernel = await startKernel({
      env,
      argv: ["bash", "-c", `trap "" XFSZ; ulimit -f 0; exec "$@"`, "bash", ...kernelArguments()],
    });
    const result = await kernel.execute("1 + 1");
    assert.equal(text(result), "2");
    assert.match(streamed(result), /runs unchecked, for its types cannot be had: EFBIG/);
    await kernel.shutdown();
  });

  it("runs, checks types and completes where its home cannot be written", async function () {
    if (process.platform === "win32") this.skip();
    // A file has no folders in it, whoever asks, and root could write to any folder.
    const home = join(folder, "home");
    await writeFile(home, "");
    const none = { XDG_DATA_HOME: undefined, XDG_CACHE_HOME: undefined, JUPYTER_DATA_DIR: undefined };
    const kernel = await startKernel({ env: { ...none, HOME: home, SLIMLAB_HISTORY: undefined } });
    const result = await kernel.execute("const half: number = 21; half * 2");
    assert.deepEqual([text(result), streamed(result)], ["42", ""]);
    assert.match(failure(await kernel.execute("const word: string = half")), /not assignable/);
    const complete = { code: "half.toF", cursor_pos: 8 };
    const { content } = await kernel.request("shell", "complete_request", complete);
    assert.deepEqual(content.matches, ["toFixed"]);
    const tail = { hist_access_type: "tail", n: 5, output: false, raw: true };
    assert.equal((await kernel.request("shell", "history_request", tail)).content.status, "ok");
    await kernel.shutdown();
  });

  for (const [when, delay] of [
    ["before it is up", 0],
    ["while it starts", 60],
    ["later", 1500],
  ] as const) {
    it(`goes when the process that started it has died ${when}`, async function () {
      if (process.platform === "win32") this.skip();
      const file = join(folder, `orphan-${delay}.json`);
      const servers = await Promise.all(
        Array.from({ length: 5 }, () => {
          const server = createServer();
          return new Promise<typeof server>((resolve) =>
            server.listen(0, "127.0.0.1", () => resolve(server)),
          );
        }),
      );
      const ports = servers.map((server) => (server.address() as { port: number }).port);
      for (const server of servers) server.close();
      const names = ["shell_port", "iopub_port", "stdin_port", "control_port", "hb_port"];
      const connection = Object.fromEntries(names.map((name, i) => [name, ports[i]]));
      await writeFile(file, JSON.stringify({ ...connection, key: "k" }), { mode: 0o600 });
      const argv = kernelArguments("--check=off").map((each) => each.replace("{connection_file}", file));
      const program = `const child = require("node:child_process").spawn(${JSON.stringify(argv[0])}, ${JSON.stringify(argv.slice(1))},
        { stdio: "ignore", env: { ...process.env, JPY_PARENT_PID: String(process.pid) } });
        require("node:fs").writeSync(1, child.pid + "\\n"); setInterval(() => {}, 1000);`;
      const parent = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] });
      const pid = Number(await new Promise((resolve) => parent.stdout.once("data", resolve)));
      await new Promise((resolve) => setTimeout(resolve, delay));
      parent.kill("SIGKILL");
      await until(`the kernel ${pid} has gone`, () => {
        try {
          process.kill(pid, 0);
          return false;
        } catch {
          return true;
        }
      });
    });
  }

  it("says that a cell ran out of memory", async () => {
    const kernel = await startKernel({
      env: { ...env, NODE_OPTIONS: "--max-old-space-size=60" },
      args: ["--check=off"],
    });
    await assert.rejects(
      kernel.execute("const all = []; for (;;) all.push(new Array(10_000).fill({}))"),
      /the cell ran out of memory \(at \d+ MB; NODE_OPTIONS=--max-old-space-size=MB raises the limit\)/,
    );
    await kernel.shutdown();
  });

  it("keeps its history for the user alone, also when it has let go of the older half", async function () {
    if (process.platform === "win32") this.skip();
    const file = join(folder, "private", "history.jsonl");
    const mode = async (path: string) => (await stat(path)).mode & 0o777;
    const first = await startKernel({ env: { SLIMLAB_HISTORY: file }, args: ["--check=off"] });
    await first.execute("'a secret'");
    await first.shutdown();
    assert.deepEqual([await mode(join(folder, "private")), await mode(file)], [0o700, 0o600]);
    const line = `${JSON.stringify(["s", 1, "x".repeat(1000)])}\n`;
    await writeFile(file, line.repeat(9000));
    const second = await startKernel({ env: { SLIMLAB_HISTORY: file }, args: ["--check=off"] });
    await second.execute("'another'");
    await second.shutdown();
    const kept = await readFile(file, "utf8");
    assert.ok(kept.length < 5e6, `${kept.length} characters`);
    assert.equal(await mode(file), 0o600);
  });

  it("ends with a sentence and exit code 1 where a port is taken", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const { port } = taken.address() as { port: number };
    const file = join(folder, "taken.json");
    const ports = {
      shell_port: port,
      iopub_port: port,
      stdin_port: port,
      control_port: port,
      hb_port: port,
    };
    await writeFile(file, JSON.stringify({ ...ports, key: "k" }), { mode: 0o600 });
    const argv = kernelArguments().map((each) => each.replace("{connection_file}", file));
    const child = spawn(argv[0], argv.slice(1), { stdio: ["ignore", "ignore", "pipe"] });
    let stderr = "";
    child.stderr.on("data", (more) => (stderr += more));
    const code = await new Promise((resolve) => child.on("close", resolve));
    taken.close();
    assert.match(stderr, /the kernel cannot start: .*in use/);
    assert.equal(code, 1, stderr);
  });

  it("is started anew, over other ports, where one was taken since it was found to be free", async () => {
    const before = join(folder, "before.mjs");
    const begun = join(folder, "begun");
    await writeFile(
      before,
      `import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
const [main, file, begun] = process.argv.splice(2);
if (!existsSync(begun)) {
  writeFileSync(begun, "");
  const { shell_port } = JSON.parse(readFileSync(file, "utf8"));
  await new Promise((done) => createServer().listen(shell_port, "127.0.0.1", done));
}
process.argv[1] = main;
process.argv.push("--connection-file", file);
await import(main);
`,
    );
    const [node, main] = kernelArguments();
    const kernel = await startKernel({ argv: [node, before, main, "{connection_file}", begun] });
    const { outputs } = await kernel.execute("1 + 1");
    await kernel.shutdown();
    assert.deepEqual(
      outputs.map((one) => one.output_type),
      ["execute_result"],
    );
    await readFile(begun);
  });

  it("takes no address for local that only looks like one", async () => {
    const file = join(folder, "evil.json");
    const ports = { shell_port: 1, iopub_port: 2, stdin_port: 3, control_port: 4, hb_port: 5 };
    for (const ip of ["127.evil", "127.0.0.1.example.com", "localhost.example.com"]) {
      await writeFile(file, JSON.stringify({ ip, key: "k", ...ports }), { mode: 0o600 });
      await assert.rejects(
        startKernel({
          env,
          argv: kernelArguments().map((each) => each.replace("{connection_file}", file)),
        }),
        /only 127\.0\.0\.1 is allowed/,
      );
    }
  });
});
