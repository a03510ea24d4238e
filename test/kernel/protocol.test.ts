// The kernel's core without sockets and threads, and the reference that its messages are held against.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import type { Message } from "../../lib/kernel/protocol/messages.ts";
import { header } from "../../lib/kernel/protocol/messages.ts";
import { codePoints, inCodePoints, offsetOf } from "../../lib/kernel/protocol/points.ts";
import { faultsOf, published, replies } from "../../lib/kernel/protocol/reference.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { MockHost, settled } from "./mock.ts";

const error = { ename: "E", evalue: "wrong", traceback: ["E: wrong"] };

describe("kernel: the protocol's core", () => {
  let host: MockHost;
  beforeEach(() => {
    host = new MockHost();
  });
  afterEach(() => assert.deepEqual(host.faults(), []));

  describe("requests", () => {
    it("answers every request of the reference, on the channel it came on, between busy and idle", async () => {
      host.ports = { shell_port: 1, iopub_port: 2, stdin_port: 3, control_port: 4, hb_port: 5 };
      const onControl = /^(interrupt|debug|usage|create_subshell|delete_subshell|list_subshell)_/;
      for (const type of Object.keys(replies)) {
        if (type === "execute_reply" || type === "shutdown_reply") continue; // They have tests of their own.
        const channel = onControl.test(type) ? "control" : "shell";
        const request = host.send(channel, type.replace("_reply", "_request"), { seq: 7, command: "attach" });
        await settled();
        const reply = host.replyTo(request);
        assert.equal(reply.header.msg_type, type);
        assert.deepEqual(reply.identities, request.identities);
        assert.deepEqual(host.published(request), ["busy", "idle"], type);
      }
    });
    it("says which request it does not know, and drops what is none", async () => {
      for (const type of ["no_such_request", "toString_request", "__proto___request"]) {
        const { content } = await host.ask("shell", type);
        assert.deepEqual([content.status, content.ename], ["error", "NotImplementedError"]);
      }
      const odd = host.send("control", "constructor");
      await settled();
      assert.deepEqual(host.published(odd), ["busy", "idle"]);
      assert.match(host.logged.at(-1)!, /no message type "constructor" here \(4 so far\)/);
    });
    it("logs twenty messages that it drops, and then each thousandth", () => {
      for (let i = 0; i < 2000; i++) host.kernel.drop("shell", "wrong signature");
      assert.equal(host.logged.length, 22);
    });
    it("answers with the failure when a handler fails", async () => {
      host.history.find = async () => {
        throw new RangeError("no history");
      };
      const { content } = await host.ask("shell", "history_request");
      assert.deepEqual(
        [content.status, content.ename, content.evalue],
        ["error", "RangeError", "no history"],
      );
    });
    it("answers with a failure when the reply cannot be written as JSON", async () => {
      host.send("shell", "execute_request", { code: "1", user_expressions: { a: "1n" } });
      await settled();
      host.running[0].end({
        expressions: { a: { status: "ok", data: { "application/json": 1n }, metadata: {} } },
      });
      await settled();
      const reply = host.sent.find(({ channel }) => channel === "shell")!.message;
      assert.equal(reply.content.status, "error");
      assert.match(reply.content.evalue, /could not be sent: .*BigInt/);
    });
  });

  describe("cells", () => {
    it("publishes the input, the outputs and the status in order, and counts", async () => {
      const request = host.send("shell", "execute_request", { code: "x", allow_stdin: true });
      await settled();
      const { cell, end } = host.running[0];
      assert.deepEqual([cell.name, cell.title, cell.count], ["Cell[1]", "Cell [1]", 1]);
      assert.equal(cell.origin.stdin, true);
      host.outputs.stream(cell.origin, "stdout", "a");
      host.outputs.stream(cell.origin, "stdout", "b");
      host.outputs.publish(cell.origin, "display_data", { data: {}, metadata: {} });
      host.outputs.publish(cell.origin, "execute_result", { execution_count: 1, data: {}, metadata: {} });
      end();
      await settled();
      assert.deepEqual(host.published(request), [
        "busy",
        "execute_input",
        "stream",
        "stream",
        "display_data",
        "execute_result",
        "idle",
      ]);
      assert.deepEqual(host.replyTo(request).content, {
        status: "ok",
        execution_count: 1,
        user_expressions: {},
        payload: [],
      });
    });
    it("joins text that comes within 20 ms, up to the next message of another kind or cell", async () => {
      const request = host.send("shell", "execute_request", { code: "x" });
      await settled();
      const { origin } = host.running[0].cell;
      const other = { ...origin, header: { ...origin.header, msg_id: "other" } };
      let left = 0;
      const sent = (characters: number) => {
        left += characters;
      };
      // The clock stands still: on a busy machine 20 ms may pass between any two lines.
      const clock = Object.getOwnPropertyDescriptor(performance, "now");
      const at = performance.now();
      Object.defineProperty(performance, "now", { value: () => at, configurable: true });
      try {
        for (const text of ["now", "a", "b"]) host.outputs.stream(origin, "stdout", text, sent);
        host.outputs.stream(origin, "stderr", "c", sent);
        host.outputs.stream(other, "stderr", "d", sent);
        host.outputs.publish(origin, "clear_output", { wait: false });
      } finally {
        if (clock) Object.defineProperty(performance, "now", clock);
        else delete (performance as { now?: unknown }).now;
      }
      const texts = host.sent.filter(({ message }) => message.header.msg_type === "stream");
      assert.deepEqual(
        texts.map(({ message: { content } }) => [content.name, content.text]),
        [
          ["stdout", "now"],
          ["stdout", "ab"],
          ["stderr", "c"],
          ["stderr", "d"],
        ],
      );
      assert.equal(left, 7);
      assert.equal(host.published(request).at(-1), "clear_output");
    });
    it("publishes nothing of a silent cell, and lets its text count as sent", async () => {
      const request = host.send("shell", "execute_request", { code: "x", silent: true });
      await settled();
      const { cell, end } = host.running[0];
      let left = 0;
      host.outputs.stream(cell.origin, "stdout", "abc", (characters) => {
        left += characters;
      });
      host.outputs.publish(cell.origin, "display_data", { data: {}, metadata: {} });
      end({ error });
      await settled();
      assert.deepEqual(host.published(request), ["busy", "idle"]);
      assert.equal(left, 3);
      assert.equal(host.replyTo(request).content.execution_count, 0);
    });
    it("runs an empty cell only for its expressions", async () => {
      const empty = await host.ask("shell", "execute_request", { code: " \n" });
      assert.equal(empty.content.status, "ok");
      assert.equal(host.running.length, 0);
      host.send("shell", "execute_request", { code: "", user_expressions: { v: "a + 1" } });
      await settled();
      assert.deepEqual(host.running[0].cell.expressions, { v: "a + 1" });
    });
    it("runs cells one by one; an error aborts what was sent before it was known, and nothing later", async () => {
      const requests = ["throw", "1", "2"].map((code) => host.send("shell", "execute_request", { code }));
      let late: Message | undefined;
      host.arriving = () => {
        late ??= host.send("shell", "execute_request", { code: "on its way" });
      };
      await settled();
      assert.equal(host.running.length, 1);
      host.running[0].end({ error });
      await settled();
      assert.deepEqual(host.replyTo(requests[0]).content, {
        status: "error",
        execution_count: 1,
        user_expressions: {},
        payload: [],
        ...error,
      });
      // They have not run: no count, or a notebook would keep it.
      for (const one of [requests[1], requests[2], late!]) {
        assert.deepEqual(host.replyTo(one).content, { status: "aborted" });
        assert.deepEqual(host.published(one), ["busy", "idle"]);
      }
      host.send("shell", "execute_request", { code: "3" });
      await settled();
      assert.equal(host.running[1].cell.count, 2);
    });
    it("aborts nothing where the client wants to go on", async () => {
      host.send("shell", "execute_request", { code: "throw", stop_on_error: false });
      host.send("shell", "execute_request", { code: "1" });
      await settled();
      host.running[0].end({ error });
      await settled();
      assert.equal(host.running[1].cell.source, "1");
    });
    it("shows a failure of the kernel's own as the cell's error", async () => {
      const request = host.send("shell", "execute_request", { code: "1" });
      await settled();
      host.running[0].fail(new RangeError("ENOSPC: no space left on device"));
      await settled();
      assert.deepEqual(host.published(request), ["busy", "execute_input", "error", "idle"]);
      assert.match(host.replyTo(request).content.evalue, /no space left/);
    });
    it("says what cannot be sent, where it should have been shown", async () => {
      const request = host.send("shell", "execute_request", { code: "1" });
      await settled();
      const { cell, end } = host.running[0];
      let left = 0;
      host.outputs.publish(
        cell.origin,
        "display_data",
        { data: { "application/json": 1n }, metadata: {} },
        { sent: () => left++ },
      );
      end();
      await settled();
      assert.deepEqual(host.published(request), ["busy", "execute_input", "stream", "idle"]);
      const stream = host.sent.find(({ message }) => message.header.msg_type === "stream")!.message;
      assert.match(stream.content.text, /display_data could not be sent: .*BigInt/);
      assert.equal(left, 1);
    });
  });

  describe("busy and idle", () => {
    it("says busy again for a cell that runs after a request on shell, and not after one on control", async () => {
      const cell = host.send("shell", "execute_request", { code: "for (;;) {}" });
      await settled();
      await host.ask("shell", "is_complete_request", { code: "1" });
      assert.deepEqual(host.published(cell), ["busy", "execute_input", "busy"]);
      for (let i = 0; i < 10; i++) await host.ask("control", "debug_request", { seq: i, command: "x" });
      assert.deepEqual(host.published(cell), ["busy", "execute_input", "busy"]);
    });
  });

  describe("interrupts", () => {
    it("reach the interpreter, and the cell that is being made ready", async () => {
      host.send("shell", "execute_request", { code: "1" });
      await settled();
      const { signal } = host.running[0].cell;
      assert.equal(signal.aborted, false);
      await host.ask("control", "interrupt_request");
      assert.equal(signal.aborted, true);
      assert.equal(host.interrupts, 1);
      host.running[0].end();
      host.send("shell", "execute_request", { code: "2" });
      await settled();
      assert.equal(host.running[1].cell.signal.aborted, false);
    });
  });

  it("an interrupt that frees nothing is said to the cell and to who asked", async () => {
    host.stops = false;
    const cell = host.send("shell", "execute_request", { code: "native()" });
    await settled();
    const { content } = await host.ask("control", "interrupt_request");
    assert.equal(content.ename, "InterruptFailed");
    const said = host.sent.find(({ message }) => message.header.msg_type === "stream")!.message;
    assert.equal(said.parent_header.msg_id, cell.header.msg_id);
    assert.match(said.content.text, /does not stop.*restart the kernel/);
  });

  describe("subshells", () => {
    it("run beside the main shell, are listed, and go", async () => {
      const { content } = await host.ask("control", "create_subshell_request");
      const id: string = content.subshell_id;
      host.send("shell", "execute_request", { code: "main" });
      host.send("shell", "execute_request", { code: "beside" }, { subshell_id: id });
      await settled();
      assert.deepEqual(
        host.running.map(({ cell }) => cell.source),
        ["main", "beside"],
      );
      assert.deepEqual((await host.ask("control", "list_subshell_request")).content.subshell_id, [id]);
      await host.ask("control", "delete_subshell_request", { subshell_id: id });
      const gone = await host.ask("control", "delete_subshell_request", { subshell_id: id });
      assert.equal(gone.content.ename, "SubshellError");
      const lost = host.send("shell", "execute_request", { code: "1" }, { subshell_id: id });
      await settled();
      assert.equal(host.replyTo(lost).content.ename, "SubshellError");
    });
  });

  describe("comms", () => {
    it("are known by either side's opening, and forgotten by either side's closing", async () => {
      const origin = { header: {}, identities: [], silent: true, stdin: false };
      host.outputs.publish(origin, "comm_open", { comm_id: "ours", target_name: "a", data: {} });
      host.send("shell", "comm_open", { comm_id: "theirs", target_name: "b", data: {} });
      await settled();
      assert.deepEqual((await host.ask("shell", "comm_info_request")).content.comms, {
        ours: { target_name: "a" },
        theirs: { target_name: "b" },
      });
      const only = await host.ask("shell", "comm_info_request", { target_name: "b" });
      assert.deepEqual(Object.keys(only.content.comms), ["theirs"]);
      host.outputs.publish(origin, "comm_close", { comm_id: "theirs", data: {} });
      host.send("shell", "comm_close", { comm_id: "ours", data: {} });
      await settled();
      assert.deepEqual((await host.ask("shell", "comm_info_request")).content.comms, {});
      assert.equal(host.comms.length, 2);
    });
  });

  describe("input", () => {
    it("asks the client whose cell asks, and takes one answer", async () => {
      const request = host.send("shell", "execute_request", { code: "prompt()", allow_stdin: true });
      await settled();
      host.kernel.ask(host.running[0].cell.origin, "name?", true);
      const { message } = host.sent.find(({ channel }) => channel === "stdin")!;
      assert.deepEqual(message.content, { prompt: "name?", password: true });
      assert.deepEqual(message.identities, request.identities);
      host.send("stdin", "input_reply", { value: "Ada" });
      host.send("stdin", "input_reply", { value: "nobody asked" });
      assert.deepEqual(host.answers, ["Ada"]);
    });
  });

  describe("shutdown", () => {
    it("is answered, told to all, and then the kernel leaves", async () => {
      const request = host.send("control", "shutdown_request", { restart: true });
      await settled();
      assert.deepEqual(host.replyTo(request).content, { status: "ok", restart: true });
      assert.deepEqual(host.published(request), ["busy", "shutdown_reply", "idle"]);
      assert.equal(host.left, 1);
    });
  });

  describe("places", () => {
    it("are counted in code points on the wire and in UTF-16 units inside", async () => {
      const source = "'😀'; ty";
      host.completions = {
        matches: ["typed"],
        cursorStart: 6,
        cursorEnd: 8,
        metadata: { _jupyter_types_experimental: [{ start: 6, end: 8, text: "typed", type: "const" }] },
      };
      const { content } = await host.ask("shell", "complete_request", { code: source, cursor_pos: 7 });
      assert.deepEqual(host.asked, [[source, 8]]);
      assert.deepEqual([content.cursor_start, content.cursor_end], [5, 7]);
      const [match] = content.metadata._jupyter_types_experimental;
      assert.deepEqual([match.start, match.end], [5, 7]);
    });
    it("take counts that lead nowhere as the text's end", () => {
      for (const odd of [undefined, null, "x", -5, Number.NaN, 1e9]) assert.equal(offsetOf("abc", odd), 3);
      assert.equal(codePoints("a😀b", 3), 2);
      const places = [{ start: 0, end: 1 }];
      assert.equal(inCodePoints("ascii", places), places);
    });
  });
});

describe("kernel: the protocol's reference", () => {
  const message = (type: string, content: object): Message => ({
    identities: [],
    header: header(type, "session", "user"),
    parent_header: {},
    metadata: {},
    content,
    buffers: [],
  });

  it("finds what is missing, of the wrong type, or not the protocol's", () => {
    const good = { status: "ok", execution_count: 1, user_expressions: {}, payload: [] };
    assert.deepEqual(faultsOf(message("execute_reply", good), "shell"), []);
    assert.deepEqual(faultsOf(message("execute_reply", { ...good, execution_count: "1" }), "shell"), [
      'execute_reply.execution_count must be a whole number from 0, is "1"',
    ]);
    assert.deepEqual(faultsOf(message("execute_reply", { status: "aborted", execution_count: 3 }), "shell"), [
      "execute_reply.execution_count is not in the reference",
    ]);
    assert.deepEqual(faultsOf(message("status", {}), "iopub"), ["status.execution_state is missing"]);
    assert.deepEqual(faultsOf(message("status", { execution_state: "asleep" }), "iopub"), [
      'status.execution_state must be "busy" or "idle" or "starting", is "asleep"',
    ]);
    assert.deepEqual(faultsOf(message("unheard_of", {}), "iopub"), [
      "unheard_of is not in the reference of iopub",
    ]);
    const { date: _, ...dateless } = message("status", {}).header;
    const headless = { ...message("status", { execution_state: "idle" }), header: dateless as never };
    assert.deepEqual(faultsOf(headless, "iopub"), ["header.date is missing"]);
  });
  it("takes a failure for every reply, and for nothing that is published", () => {
    const failure = { status: "error", ename: "E", evalue: "", traceback: [] };
    for (const type of Object.keys(replies))
      if (type !== "execute_reply") assert.deepEqual(faultsOf(message(type, failure), "control"), [], type);
    for (const type of Object.keys(published))
      assert.notDeepEqual(faultsOf(message(type, failure), "iopub"), [], type);
  });
});

describe("kernel: the protocol's room", () => {
  it("needs no machine: it can be bundled for a browser as it is", async () => {
    const folder = join(packageRoot, "dist/lib/kernel/protocol");
    const entryPoints = readdirSync(folder)
      .filter((name) => name.endsWith(".js"))
      .map((name) => join(folder, name));
    assert.ok(entryPoints.length > 5, String(entryPoints));
    const { errors, metafile } = await build({
      entryPoints,
      bundle: true,
      write: false,
      outdir: "unused",
      platform: "browser",
      format: "esm",
      metafile: true,
      logLevel: "silent",
    });
    assert.deepEqual(errors, []);
    for (const input of Object.keys(metafile.inputs)) assert.match(input, /kernel\/protocol\//);
  });
});
