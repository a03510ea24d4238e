// The kernel's face to Jupyter, on a thread of its own: five sockets, a table of message handlers, a queue of cells.
import { chmodSync, readFileSync, statSync, writeSync } from "node:fs";
import type { MessagePort } from "node:worker_threads";
import { parentPort, workerData } from "node:worker_threads";
import * as zmq from "zeromq";
import type { CellCode } from "../cell/code.ts";
import { codeFrame } from "../cell/frame.ts";
import { Debugger } from "../debug/debugger.ts";
import type { Completions, Diagnostic, LanguageService } from "../types/language.ts";
import { objectBefore, RuntimeMembers } from "../types/members.ts";
import { History } from "./history.ts";
import { interruptMain } from "./interrupt.ts";
import type { ErrorContent, Origin, RunRequest, ServerData, ToMain, ToServer } from "./link.ts";
import { shared } from "./link.ts";
import {
  address,
  type Connection,
  type Content,
  decode,
  encode,
  header,
  type Message,
  parseConnection,
  protocolVersion,
  WireError,
} from "./wire.ts";

/** A request on its way through the kernel. */
export interface Request {
  channel: "shell" | "control";
  message: Message;
  origin: Origin;
  reply(content: Content, more?: { metadata?: Content; buffers?: Uint8Array[] }): void;
}

/** Answers one type of message. Busy is published before it, idle when it resolves. */
export type Handler = (request: Request) => void | Promise<void>;

const data = workerData as ServerData;
const main = parentPort as MessagePort;
const startedAt = Date.now();

/** Writes to the kernel's own log, which the Jupyter server shows: never to a notebook. */
export function log(text: string): void {
  // Not through process.stderr: a worker's goes through the main thread, which may be busy.
  try {
    writeSync(2, `[slimlab] ${text}\n`);
  } catch {
    // Nobody listens.
  }
}

function readConnection(file: string): Connection {
  const connection = parseConnection(readFileSync(file, "utf8"));
  const isLocal = connection.transport === "ipc" || /^(127\.|localhost$|\[?::1\]?$)/.test(connection.ip);
  if (!isLocal && process.env.SLIMLAB_ALLOW_REMOTE !== "1") {
    throw new Error(
      `the connection file asks for ${connection.ip}, which other machines can reach; a kernel runs whatever it is sent, ` +
        "so only 127.0.0.1 is allowed unless SLIMLAB_ALLOW_REMOTE=1 is set",
    );
  }
  // The key in the file is all that keeps another user of this machine from running code here.
  if (process.platform !== "win32" && statSync(file).mode & 0o077) {
    log(`${file} could be read by others: its mode is now 600`);
    chmodSync(file, 0o600);
  }
  return connection;
}

// ---- Sockets -------------------------------------------------------------------------------------------------------

const connection = readConnection(data.connectionFile);
const limits = { maxMessageSize: 1 << 30, linger: 1000, sendHighWaterMark: 0, receiveHighWaterMark: 0 };
const sockets = {
  shell: new zmq.Router({ ...limits, handover: true }),
  control: new zmq.Router({ ...limits, handover: true }),
  stdin: new zmq.Router({ ...limits, handover: true }),
  iopub: new zmq.XPublisher(limits),
  hb: new zmq.Router(limits),
};
const session = process.env.SLIMLAB_SESSION ?? crypto.randomUUID();

/**
 * A socket takes one send at a time; what comes meanwhile waits in order. Encoding and sending begin with the next turn:
 * the main thread gets its cell first, and runs it while the cell's first messages are made.
 */
class Outbox {
  readonly #socket: { send(frames: Uint8Array[]): Promise<void> };
  readonly #waiting: { make: () => Uint8Array[]; sent?: () => void }[] = [];
  #sending = false;

  constructor(socket: { send(frames: Uint8Array[]): Promise<void> }) {
    this.#socket = socket;
  }

  send(make: () => Uint8Array[], sent?: () => void): void {
    this.#waiting.push({ make, sent });
    if (this.#sending) return;
    this.#sending = true;
    setImmediate(() => void this.#run());
  }

  /** Resolves when nothing waits. */
  async drained(): Promise<void> {
    while (this.#sending) await new Promise((resolve) => setTimeout(resolve, 1));
  }

  async #run(): Promise<void> {
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
      try {
        await this.#socket.send(next.make());
      } catch (error) {
        log(`a message could not be sent: ${(error as Error).message}`);
      }
      next.sent?.();
    }
    this.#sending = false;
  }
}

const outboxes = {
  shell: new Outbox(sockets.shell),
  control: new Outbox(sockets.control),
  stdin: new Outbox(sockets.stdin),
  iopub: new Outbox(sockets.iopub),
};

// ---- Publishing ----------------------------------------------------------------------------------------------------

/** Publishes on iopub, after the text that came before. */
export function publish(
  msgType: string,
  content: Content,
  parent: Message["parent_header"],
  more: { metadata?: Content; buffers?: Uint8Array[]; sent?: () => void } = {},
): void {
  if (msgType !== "stream") flushStream();
  const message = {
    identities: [Buffer.from(`kernel.${session}.${msgType}`)],
    header: header(msgType, session),
    parent_header: parent,
    metadata: more.metadata ?? {},
    content,
    buffers: more.buffers ?? [],
  };
  outboxes.iopub.send(() => encode(message, connection), more.sent);
}

// Browsers choke on thousands of small messages, so what a cell writes goes out at most 50 times a second.
const streamPause = 20;
let stream: { origin: Origin; name: string; texts: string[]; size: number } | undefined;
let streamTimer: NodeJS.Timeout | undefined;
let streamSentAt = 0;

function addStream(message: Extract<ToServer, { type: "stream" }>): void {
  if (
    stream &&
    (stream.name !== message.name || stream.origin.header.msg_id !== message.origin.header.msg_id)
  ) {
    flushStream();
  }
  stream ??= { origin: message.origin, name: message.name, texts: [], size: 0 };
  stream.texts.push(message.text);
  stream.size += message.text.length;
  if (stream.size > 1 << 18 || performance.now() - streamSentAt > streamPause) flushStream();
  else streamTimer ??= setTimeout(flushStream, streamPause);
}

function flushStream(): void {
  clearTimeout(streamTimer);
  streamTimer = undefined;
  if (!stream) return;
  const { origin, name, texts, size } = stream;
  stream = undefined;
  streamSentAt = performance.now();
  publish("stream", { name, text: texts.join("") }, origin.header, {
    sent: () => {
      Atomics.sub(data.shared, shared.backlog, size);
      Atomics.notify(data.shared, shared.backlog);
    },
  });
}

function status(state: "busy" | "idle" | "starting", parent: Message["parent_header"]): void {
  publish("status", { execution_state: state }, parent);
}

// ---- Requests ------------------------------------------------------------------------------------------------------

/** What each message on the shell channel does. */
export const shellHandlers: Record<string, Handler> = {};
/** What each message on the control channel does. */
export const controlHandlers: Record<string, Handler> = {};

// A message that was seen already is a replay, and never runs again.
const seen = new Set<string>();

function accept(frames: Uint8Array[], channel: string): Message | undefined {
  try {
    const message = decode(frames, connection);
    if (message.signature !== "") {
      if (seen.has(message.signature)) throw new WireError("a message that came before");
      seen.add(message.signature);
      if (seen.size > 1 << 16) seen.delete(seen.values().next().value!);
    }
    return message;
  } catch (error) {
    drop(channel, error instanceof WireError ? error.message : String(error));
    return undefined;
  }
}

let dropped = 0;
function drop(channel: string, why: string): void {
  // A flood of bad messages must not become a flood of log lines.
  dropped++;
  if (dropped <= 20 || dropped % 1000 === 0)
    log(`dropped a message on ${channel}: ${why} (${dropped} so far)`);
}

async function serve(channel: "shell" | "control"): Promise<void> {
  const handlers = channel === "shell" ? shellHandlers : controlHandlers;
  for await (const frames of sockets[channel]) {
    const message = accept(frames, channel);
    if (message) void answer(channel, message, handlers);
  }
}

async function answer(
  channel: "shell" | "control",
  message: Message,
  handlers: Record<string, Handler>,
): Promise<void> {
  const type = message.header.msg_type;
  const origin: Origin = { header: message.header, silent: false, stdin: false };
  const request: Request = {
    channel,
    message,
    origin,
    reply(content, more = {}) {
      flushStream();
      outboxes[channel].send(() =>
        encode(
          {
            identities: message.identities,
            header: header(type.replace(/_request$/, "_reply"), session),
            parent_header: message.header,
            metadata: more.metadata ?? {},
            content,
            buffers: more.buffers ?? [],
          },
          connection,
        ),
      );
    },
  };
  status("busy", message.header);
  try {
    if (Object.hasOwn(handlers, type)) await handlers[type](request);
    else {
      drop(channel, `no message type ${JSON.stringify(type).slice(0, 80)} here`);
      if (type.endsWith("_request")) {
        request.reply(failure("NotImplementedError", `the kernel has no ${type} on ${channel}`));
      }
    }
  } catch (error) {
    const { name, message: text, stack } = error as Error;
    log(`${type} failed: ${stack ?? text}`);
    if (type.endsWith("_request")) request.reply(failure(name, text));
  }
  if (leaving) return;
  status("idle", message.header);
  // A front end takes the last status for the kernel's: the cell that still runs has the last word.
  for (const one of running) if (one !== request) status("busy", one.message.header);
}

function failure(ename: string, evalue: string, traceback: string[] = []): Content & ErrorContent {
  return { status: "error", ename, evalue, traceback };
}

// ---- Cells ---------------------------------------------------------------------------------------------------------

const transforming = () => import("../cell/transform.ts");
let languageService: Promise<LanguageService> | undefined;
function language(): Promise<LanguageService> {
  languageService ??= import("../types/language.ts").then(
    ({ LanguageService }) => new LanguageService({ folder: data.folder, javascript: data.javascript }),
  );
  return languageService;
}
const history = new History();
let count = 0;
let runs = 0;
/** Names that cells have declared although Node has them as globals. */
const ownGlobals = new Set<string>();
/** Cells that run now: one for each subshell at most. */
const running = new Set<Request>();
/** For each subshell (the main one is ""), its cells in order. */
const queues = new Map<string, { waiting: { request: Request; done: () => void }[]; busy: boolean }>([
  ["", { waiting: [], busy: false }],
]);
const ends = new Map<number, (end: Extract<ToServer, { type: "done" }>) => void>();

function post(message: ToMain): void {
  main.postMessage(message);
}

shellHandlers.execute_request = (request) => {
  const queue = queues.get(request.message.header.subshell_id ?? "");
  if (!queue) {
    request.reply(failure("SubshellError", `there is no subshell ${request.message.header.subshell_id}`));
    return;
  }
  return new Promise<void>((done) => {
    queue.waiting.push({ request, done });
    if (!queue.busy) void runQueue(queue);
  });
};

async function runQueue(queue: {
  waiting: { request: Request; done: () => void }[];
  busy: boolean;
}): Promise<void> {
  queue.busy = true;
  for (let next = queue.waiting.shift(); next; next = queue.waiting.shift()) {
    const { request, done } = next;
    running.add(request);
    // JupyterLab reads a cell's times from here.
    const timing = { started: new Date().toISOString(), dependencies_met: true, engine: session };
    let reply: Content;
    try {
      reply = await execute(request);
    } catch (error) {
      log(`execute_request failed: ${(error as Error).stack}`);
      reply = { ...failure((error as Error).name, (error as Error).message), execution_count: count };
    }
    let aborted: typeof queue.waiting = [];
    if (reply.status === "error" && (request.message.content.stop_on_error ?? true)) {
      // Aborted is what the client had sent before it could know of the error: all that is here before the reply
      // leaves. Two turns let in what the socket still holds.
      for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
      aborted = queue.waiting.splice(0);
    }
    request.reply(
      { user_expressions: {}, payload: [], ...reply },
      { metadata: { ...timing, status: reply.status } },
    );
    running.delete(request);
    done();
    for (const { request, done } of aborted) {
      request.reply({ status: "aborted", execution_count: count, user_expressions: {}, payload: [] });
      done();
    }
  }
  queue.busy = false;
}

/** Runs a cell; resolves to the reply's content. */
async function execute(request: Request): Promise<Content> {
  const before = interrupts;
  const { content, header: head } = request.message;
  const source = String(content.code ?? "");
  const silent = content.silent === true;
  const store = !silent && content.store_history !== false;
  const origin: Origin = { header: head, silent, stdin: content.allow_stdin === true };
  if (store) count++;
  const run = ++runs;
  const label = store ? String(count) : `${count}.${run}`;
  const title = `Cell [${label}]`;
  if (!silent) publish("execute_input", { code: source, execution_count: count }, head);
  const fail = (error: ErrorContent) => {
    if (!silent) publish("error", { ...error }, head);
    return { status: "error", execution_count: count, ...error };
  };
  if (store) void history.add(count, source);
  if (source.trim() === "") {
    return { status: "ok", execution_count: count };
  }
  const name = `Cell[${label}]`;
  const { transformCell, CellSyntaxError, isNodes } = await transforming();
  const options = { name, javascript: data.javascript, folder: data.folder, ownGlobals };
  let cell: Awaited<ReturnType<typeof transformCell>>;
  const expressions: Record<string, string> = {};
  try {
    cell = await transformCell(source, options);
    for (const [key, expression] of Object.entries(content.user_expressions ?? {})) {
      try {
        expressions[key] = (
          await transformCell(`(${expression}\n)`, { ...options, name: `${name}.${key}` })
        ).code;
      } catch {
        expressions[key] = String(expression); // V8 says what is wrong with it.
      }
    }
  } catch (error) {
    if (!(error instanceof CellSyntaxError)) throw error;
    return fail({
      ename: "SyntaxError",
      evalue: error.message,
      traceback: [
        `\u001b[31mSyntaxError\u001b[39m: ${error.message}`,
        `${title}, line ${error.line}, column ${error.column}`,
        ...codeFrame(source, error.line, error.column),
      ],
    });
  }
  const service = data.check === "off" ? undefined : await language();
  if (service) {
    const problems = await service.check(source, cell);
    const errors = problems.filter((problem) => problem.severity === "error");
    const stops = errors.length > 0 && data.check === "error";
    const traceback = describeProblems(stops ? errors : problems, source, title);
    if (stops) return fail({ ename: "TypeScriptError", evalue: errors[0].message, traceback });
    if (problems.length > 0 && !silent) {
      publish("stream", { name: "stderr", text: `${traceback.join("\n")}\n` }, head);
    }
  }
  // Transforming and checking take a moment, in which the person may have thought better of it.
  if (interrupts !== before) {
    const evalue = "the cell was interrupted before it ran";
    return fail({
      ename: "KeyboardInterrupt",
      evalue,
      traceback: [`\u001b[31mKeyboardInterrupt\u001b[39m: ${evalue}`],
    });
  }
  const end = new Promise<Extract<ToServer, { type: "done" }>>((resolve) => ends.set(run, resolve));
  const message: RunRequest = {
    type: "run",
    run,
    origin,
    name,
    title,
    count,
    code: cell.code,
    map: cell.map,
    source,
    // esbuild leaves out a last statement that is only `undefined`.
    showsResult: cell.showsResult && !silent && !/(^|[;\n}])\s*(undefined|void 0)[\s;]*$/.test(source),
    expressions,
    debug: debug.on,
  };
  await debug.prepare(name, title, source, cell.map.mappings);
  post(message);
  for (const declared of cell.declared) {
    if (isNodes(declared)) ownGlobals.add(declared.name);
    else if (declared.value) ownGlobals.delete(declared.name);
  }
  // The cell's names are known from here on, even if it fails half-way: what it declared before that is there.
  if (service) service.accept(source, cell);
  else acceptLater(source, cell);
  const { error, expressions: values } = await end;
  debug.ended();
  if (error) return fail(error);
  return { status: "ok", execution_count: count, user_expressions: values ?? {} };
}

/**
 * Where types are not checked, a cell's names, and TypeScript's server, matter only to who completes or inspects: that can
 * wait for a pause.
 */
const unaccepted: [source: string, cell: CellCode][] = [];
let pauseTimer: NodeJS.Timeout | undefined;

function acceptLater(source: string, cell: CellCode): void {
  unaccepted.push([source, cell]);
  if (unaccepted.length >= 50) void upToDate();
  awaitPause();
}

function awaitPause(): void {
  clearTimeout(pauseTimer);
  pauseTimer = setTimeout(() => void upToDate().then(startLanguage), 1000);
}

function startLanguage(service: LanguageService): void {
  service.start().catch((error) => log(`TypeScript's server did not start: ${error.message}`));
}

/** The language service, with the names of all cells so far. */
async function upToDate(): Promise<LanguageService> {
  const service = await language();
  for (const [source, cell] of unaccepted.splice(0)) service.accept(source, cell);
  return service;
}

/** Type errors as the lines of a traceback. */
function describeProblems(problems: Diagnostic[], source: string, title: string): string[] {
  const lines: string[] = [];
  for (const { line, column, endLine, endColumn, message, code, severity } of problems.slice(0, 10)) {
    const name =
      severity === "error" ? "\u001b[31mTypeScriptError\u001b[39m" : "\u001b[33mTypeScriptWarning\u001b[39m";
    lines.push(`${name}: ${message}${code ? ` (TS${code})` : ""}`);
    if (code === 0) continue; // Of the cell as a whole: it could not be checked.
    lines.push(
      `${title}, line ${line}, column ${column}`,
      ...codeFrame(source, line, column, endLine === line ? endColumn - column : 1),
    );
  }
  if (problems.length > 10) lines.push(`… and ${problems.length - 10} more`);
  return lines;
}

// ---- The other requests --------------------------------------------------------------------------------------------

const languageInfo = data.javascript
  ? {
      name: "javascript",
      version: process.versions.node,
      mimetype: "text/javascript",
      file_extension: ".js",
      pygments_lexer: "javascript",
      codemirror_mode: { name: "javascript" },
      nbconvert_exporter: "script",
    }
  : {
      name: "typescript",
      version: "7.0.2",
      mimetype: "text/typescript",
      file_extension: ".ts",
      pygments_lexer: "typescript",
      codemirror_mode: { name: "javascript", typescript: true },
      nbconvert_exporter: "script",
    };

const kernelInfo: Handler = ({ reply }) => {
  reply({
    status: "ok",
    protocol_version: protocolVersion,
    implementation: "slimlab",
    implementation_version: "0.1.0",
    language_info: languageInfo,
    banner: `slimlab: ${data.javascript ? "JavaScript" : "TypeScript"} on Node.js ${process.versions.node}`,
    debugger: true,
    help_links: [
      { text: "TypeScript", url: "https://www.typescriptlang.org/docs/" },
      { text: "Node.js", url: "https://nodejs.org/docs/latest/api/" },
    ],
    supported_features: ["kernel subshells", "debugger"],
  });
  preload();
};
shellHandlers.kernel_info_request = kernelInfo;
controlHandlers.kernel_info_request = kernelInfo;

/** Deprecated since protocol 5.1, and still in it. */
const connect: Handler = ({ reply }) => {
  const { shell_port, iopub_port, stdin_port, control_port, hb_port } = connection;
  reply({ status: "ok", shell_port, iopub_port, stdin_port, control_port, hb_port });
};
shellHandlers.connect_request = connect;
controlHandlers.connect_request = connect;

shellHandlers.is_complete_request = async ({ message, reply }) => {
  const { completeness } = await transforming();
  reply({ ...completeness(String(message.content.code ?? "")) });
};

shellHandlers.complete_request = async ({ message, reply }) => {
  const source = String(message.content.code ?? "");
  const cursor = offsetOf(source, message.content.cursor_pos);
  const service = await upToDate();
  let found = await service.complete(source, cursor);
  if (found.matches.length === 0) found = await completeAtRunTime(source, found);
  reply({
    status: "ok",
    matches: found.matches,
    cursor_start: codePoints(source, found.cursorStart),
    cursor_end: codePoints(source, found.cursorEnd),
    metadata: withCodePoints(source, found.metadata),
  });
};

/** What types do not know may be there all the same: `any`, records, names that code has set. */
async function completeAtRunTime(source: string, nothing: Completions): Promise<Completions> {
  const { cursorStart: start, cursorEnd: end } = nothing;
  const word = source.slice(start, end);
  const before = source.slice(0, start);
  const isMember = /\.\s*$/.test(before);
  if (!isMember && word === "") return nothing;
  const { ownName } = await transforming();
  const expression = isMember
    ? objectBefore(before)?.replace(/^[^\s.?[]+/, (name) => (ownGlobals.has(name) ? ownName(name) : name))
    : "globalThis";
  if (expression === undefined) return nothing;
  const members = (await runtimeMembers.of(expression)).filter(({ name }) => name.startsWith(word));
  return {
    ...nothing,
    matches: members.map(({ name }) => name),
    metadata: {
      _jupyter_types_experimental: members.map(({ name, type }) => ({ start, end, text: name, type })),
    },
  };
}
const runtimeMembers = new RuntimeMembers();

shellHandlers.inspect_request = async ({ message, reply }) => {
  const source = String(message.content.code ?? "");
  const cursor = offsetOf(source, message.content.cursor_pos);
  const service = await upToDate();
  const found = await service.inspect(source, cursor, message.content.detail_level === 1 ? 1 : 0);
  reply({
    status: "ok",
    found: found !== undefined,
    data: found ? { "text/markdown": found.markdown, "text/plain": found.plain } : {},
    metadata: {},
  });
};

// Jupyter counts code points, JavaScript counts UTF-16 units.
function offsetOf(source: string, codePointCount: unknown): number {
  if (typeof codePointCount !== "number" || !(codePointCount >= 0)) return source.length;
  let offset = 0;
  for (let i = 0; i < codePointCount && offset < source.length; i++) {
    offset += source.codePointAt(offset)! > 0xffff ? 2 : 1;
  }
  return offset;
}

function codePoints(source: string, offset: number): number {
  let points = 0;
  for (let i = 0; i < offset; points++) i += source.codePointAt(i)! > 0xffff ? 2 : 1;
  return points;
}

function withCodePoints(source: string, metadata: Content): Content {
  const typed = metadata._jupyter_types_experimental;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range of ASCII is what is meant.
  if (!Array.isArray(typed) || /^[\x00-\x7f]*$/.test(source)) return metadata;
  return {
    ...metadata,
    _jupyter_types_experimental: typed.map((match) => ({
      ...match,
      start: codePoints(source, match.start),
      end: codePoints(source, match.end),
    })),
  };
}

shellHandlers.history_request = async ({ message, reply }) => {
  reply({ status: "ok", history: await history.find(message.content) });
};

/** Comms that are open, by id: what `comm_info_request` tells. */
const comms = new Map<string, string>();

shellHandlers.comm_info_request = ({ message, reply }) => {
  const wanted = message.content.target_name;
  const open: Record<string, { target_name: string }> = {};
  for (const [id, target] of comms) if (!wanted || wanted === target) open[id] = { target_name: target };
  reply({ status: "ok", comms: open });
};

function comm(request: Request): Promise<void> {
  const { message, origin } = request;
  const type = message.header.msg_type;
  if (type === "comm_open") comms.set(String(message.content.comm_id), String(message.content.target_name));
  if (type === "comm_close") comms.delete(String(message.content.comm_id));
  post({
    type: "comm",
    origin,
    msgType: type,
    content: message.content,
    metadata: message.metadata,
    buffers: message.buffers,
  });
  return new Promise((resolve) => handled.set(message.header.msg_id, resolve));
}
const handled = new Map<string, () => void>();
shellHandlers.comm_open = comm;
shellHandlers.comm_msg = comm;
shellHandlers.comm_close = comm;

controlHandlers.interrupt_request = async ({ reply }) => {
  await interrupt();
  reply({ status: "ok" });
};

/** How many interrupts there have been. */
let interrupts = 0;

async function interrupt(): Promise<void> {
  interrupts++;
  data.inputPort.postMessage({ interrupted: true });
  Atomics.add(data.shared, shared.input, 1);
  Atomics.notify(data.shared, shared.input);
  const { held, resume } = debug.interrupting();
  await interruptMain(
    data.shared,
    (ping) => {
      post({ type: "interrupt", ping });
      return new Promise((resolve) => pongs.set(ping, resolve));
    },
    held,
  );
  resume();
}
const pongs = new Map<number, () => void>();

let debugParent: Message["header"] | undefined;
const debug = new Debugger({
  event: (content) => publish("debug_event", content, debugParent ?? {}),
  transform: async (source) => {
    const { transformCell } = await transforming();
    const { javascript, folder } = data;
    return transformCell(source, { name: "debugger", javascript, folder, ownGlobals });
  },
  interrupt,
});

controlHandlers.debug_request = async ({ message, reply }) => {
  debugParent = message.header;
  reply(await debug.request(message.content));
};

controlHandlers.create_subshell_request = ({ reply }) => {
  const id = crypto.randomUUID();
  queues.set(id, { waiting: [], busy: false });
  reply({ status: "ok", subshell_id: id });
};
controlHandlers.delete_subshell_request = ({ message, reply }) => {
  const id = String(message.content.subshell_id ?? "");
  if (id === "" || !queues.delete(id)) reply(failure("SubshellError", `there is no subshell ${id}`));
  else reply({ status: "ok" });
};
controlHandlers.list_subshell_request = ({ reply }) => {
  reply({ status: "ok", subshell_id: [...queues.keys()].filter((id) => id !== "") });
};

const shutdown: Handler = async ({ message, reply }) => {
  const content = { status: "ok", restart: message.content.restart === true };
  reply(content);
  publish("shutdown_reply", content, message.header);
  status("idle", message.header);
  await Promise.all([...Object.values(outboxes)].map((outbox) => outbox.drained()));
  await leave();
};
controlHandlers.shutdown_request = shutdown;
shellHandlers.shutdown_request = shutdown;

let leaving = false;

/** Ends the process, whatever the main thread is doing. */
async function leave(): Promise<void> {
  leaving = true;
  clearTimeout(pauseTimer);
  debug.close();
  runtimeMembers.close();
  await Promise.race([
    Promise.all([history.close(), languageService?.then((service) => service.close())]).catch(() => {}),
    new Promise((resolve) => setTimeout(resolve, 300)),
  ]);
  for (const socket of Object.values(sockets)) socket.close();
  post({ type: "exit" });
  // The main thread may be in an endless loop: what was sent has left by then, and the process can be ended.
  setTimeout(() => process.kill(process.pid, "SIGKILL"), 1000);
}

// ---- From the main thread ------------------------------------------------------------------------------------------

main.on("message", (message: ToServer) => {
  switch (message.type) {
    case "bye":
      // This thread ends itself, between two turns: ended from outside in the middle of a call into ZeroMQ's addon, it
      // would take the process down with an abort.
      process.exit(0);
      break;
    case "stream":
      if (!message.origin.silent) addStream(message);
      break;
    case "publish": {
      const { msgType, content, origin, metadata, buffers } = message;
      if (msgType === "comm_open") comms.set(content.comm_id, content.target_name);
      if (msgType === "comm_close") comms.delete(content.comm_id);
      if (!origin.silent || msgType.startsWith("comm_")) {
        publish(msgType, content, origin.header, { metadata, buffers });
      }
      break;
    }
    case "done":
      flushStream();
      ends.get(message.run)?.(message);
      ends.delete(message.run);
      break;
    case "handled": {
      const id = message.origin.header.msg_id ?? "";
      handled.get(id)?.();
      handled.delete(id);
      break;
    }
    case "pong":
      pongs.get(message.ping)?.();
      pongs.delete(message.ping);
      break;
    case "input":
      askForInput(message);
      break;
  }
});

let asking: Message["header"] | undefined;

function askForInput({ origin, prompt, password }: Extract<ToServer, { type: "input" }>): void {
  flushStream();
  const head = header("input_request", session);
  asking = head;
  outboxes.stdin.send(() =>
    encode(
      {
        identities:
          [...running].find((one) => one.message.header.msg_id === origin.header.msg_id)?.message
            .identities ?? [],
        header: head,
        parent_header: origin.header,
        metadata: {},
        content: { prompt, password },
        buffers: [],
      },
      connection,
    ),
  );
}

async function serveStdin(): Promise<void> {
  for await (const frames of sockets.stdin) {
    const message = accept(frames, "stdin");
    if (message?.header.msg_type !== "input_reply" || !asking) continue;
    asking = undefined;
    data.inputPort.postMessage({ value: String(message.content.value ?? "") });
    Atomics.add(data.shared, shared.input, 1);
    Atomics.notify(data.shared, shared.input);
  }
}

async function serveHeartbeat(): Promise<void> {
  const outbox = new Outbox(sockets.hb);
  for await (const frames of sockets.hb) outbox.send(() => frames);
}

async function serveSubscriptions(): Promise<void> {
  for await (const [frame] of sockets.iopub) {
    // A first byte of 1 is a subscription. The client may count on receiving what is published from here on.
    if (frame?.[0] !== 1) continue;
    const topic = frame.subarray(1);
    outboxes.iopub.send(() =>
      encode(
        {
          identities: [topic],
          header: header("iopub_welcome", session),
          parent_header: {},
          metadata: {},
          content: { subscription: topic.toString() },
          buffers: [],
        },
        connection,
      ),
    );
  }
}

// ---- Up and down ---------------------------------------------------------------------------------------------------

/** Loads what the first cell will need, once the client has its first answer. */
function preload(): void {
  if (preloaded) return;
  preloaded = true;
  setTimeout(() => {
    const failed = (error: Error) => log(`loading failed: ${error.stack}`);
    if (data.check === "off") awaitPause();
    else language().then(startLanguage).catch(failed);
    transforming()
      .then(({ warmTransform }) => warmTransform())
      .catch(failed);
  }, 1);
}
let preloaded = false;

function watchParent(): void {
  // Jupyter's launcher says who it is; a kernel whose launcher has died would stay for ever.
  const parent = Number(process.env.JPY_PARENT_PID);
  if (!(parent > 1) || process.ppid !== parent) return;
  setInterval(() => {
    if (process.ppid === parent) return;
    log("the process that started this kernel has gone: the kernel goes too");
    void leave();
  }, 1000).unref();
}

async function start(): Promise<void> {
  await Promise.all(
    (["shell", "control", "stdin", "iopub", "hb"] as const).map((channel) =>
      sockets[channel].bind(address(connection, channel)),
    ),
  );
  const broken = (error: Error) => {
    log(`a socket failed: ${error.stack}`);
    process.kill(process.pid, "SIGTERM");
  };
  void serve("shell").catch(broken);
  void serve("control").catch(broken);
  void serveStdin().catch(broken);
  void serveHeartbeat().catch(broken);
  void serveSubscriptions().catch(broken);
  status("starting", {});
  watchParent();
  setTimeout(preload, 300);
  if (process.env.SLIMLAB_DEBUG) log(`up after ${Date.now() - startedAt} ms`);
}
void start();
