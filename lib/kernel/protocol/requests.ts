// What each request does. The table is typed over the protocol's replies: a request that is missing does not compile.
import type { Cells } from "./cells.ts";
import type { Host } from "./host.ts";
import { type Message, protocolVersion } from "./messages.ts";
import { codePoints, inCodePoints, offsetOf } from "./points.ts";
import type { Publisher } from "./publisher.ts";
import type { ReplyContent, ReplyType } from "./reference.ts";
import { failure, type Request } from "./request.ts";

/** What the core has been joined to, and its parts. */
export interface Parts {
  readonly host: Host;
  readonly publisher: Publisher;
  readonly cells: Cells;
  /** Comms that are open, their targets by id: what `comm_info_request` tells. */
  readonly comms: Map<string, string>;
  interrupt(): Promise<boolean>;
  shutdown(request: Request<"shutdown_reply">): Promise<void>;
  /** Whose `debug_request` the debugger's events belong to. */
  debugParent: Message["parent_header"];
}

/** Answers one type of message. Busy is published before it, idle when it resolves. */
export type Handler<T extends ReplyType = ReplyType> = (
  request: Request<T>,
  parts: Parts,
) => void | Promise<void>;

interface Entry<T extends ReplyType> {
  on: readonly ("shell" | "control")[];
  handle: Handler<T>;
}

type RequestOf<T extends string> = T extends `${infer Name}_reply` ? `${Name}_request` : never;

const shell = ["shell"] as const;
const control = ["control"] as const;
const both = ["shell", "control"] as const;

const requests: { [T in ReplyType as RequestOf<T>]: Entry<T> } = {
  execute_request: { on: shell, handle: (request, { cells }) => cells.execute(request) },
  kernel_info_request: { on: both, handle: kernelInfo },
  // Deprecated since protocol 5.1, and still in it.
  connect_request: { on: both, handle: connect },
  is_complete_request: { on: shell, handle: isComplete },
  complete_request: { on: shell, handle: complete },
  inspect_request: { on: shell, handle: inspect },
  history_request: { on: shell, handle: history },
  comm_info_request: { on: shell, handle: commInfo },
  interrupt_request: {
    on: control,
    async handle({ reply }, { interrupt }) {
      if (await interrupt()) reply({ status: "ok" });
      else reply(failure("InterruptFailed", "what runs does not stop: wait for it, or restart the kernel"));
    },
  },
  debug_request: {
    on: control,
    async handle({ message, reply }, parts) {
      parts.debugParent = message.header;
      reply((await parts.host.debugger.request(message.content)) as ReplyContent<"debug_reply">);
    },
  },
  create_subshell_request: {
    on: control,
    handle: ({ reply }, { cells }) => reply({ status: "ok", subshell_id: cells.createSubshell() }),
  },
  delete_subshell_request: { on: control, handle: deleteSubshell },
  list_subshell_request: {
    on: control,
    handle: ({ reply }, { cells }) => reply({ status: "ok", subshell_id: cells.subshells }),
  },
  usage_request: {
    on: control,
    handle({ reply }, { host }) {
      reply(host.usage?.() ?? failure("NotImplementedError", "this kernel cannot tell what it uses"));
    },
  },
  shutdown_request: { on: both, handle: (request, { shutdown }) => shutdown(request) },
};

/** The handlers of a channel, by the type of message. */
export function handlersOf(channel: "shell" | "control"): Record<string, Handler> {
  const handlers: Record<string, Handler> = {};
  for (const [type, { on, handle }] of Object.entries(requests) as [string, Entry<ReplyType>][])
    if (on.includes(channel)) handlers[type] = handle;
  if (channel === "shell") for (const type of ["comm_open", "comm_msg", "comm_close"]) handlers[type] = comm;
  return handlers;
}

function kernelInfo({ reply }: Request<"kernel_info_reply">, { host }: Parts): void {
  reply({ status: "ok", protocol_version: protocolVersion, ...host.info });
  host.interpreter.warm();
}

function connect({ reply }: Request<"connect_reply">, { host }: Parts): void {
  if (host.ports) reply({ status: "ok", ...host.ports });
  else reply(failure("NotImplementedError", "this kernel has no ports"));
}

async function isComplete({ message, reply }: Request<"is_complete_reply">, { host }: Parts): Promise<void> {
  reply(await host.interpreter.isComplete(String(message.content.code ?? "")));
}

async function complete({ message, reply }: Request<"complete_reply">, { host }: Parts): Promise<void> {
  const source = String(message.content.code ?? "");
  const cursor = offsetOf(source, message.content.cursor_pos);
  const { matches, cursorStart, cursorEnd, metadata } = await host.interpreter.complete(source, cursor);
  const { _jupyter_types_experimental: typed } = metadata;
  reply({
    status: "ok",
    matches,
    cursor_start: codePoints(source, cursorStart),
    cursor_end: codePoints(source, cursorEnd),
    metadata: typed ? { _jupyter_types_experimental: inCodePoints(source, typed) } : {},
  });
}

async function inspect({ message, reply }: Request<"inspect_reply">, { host }: Parts): Promise<void> {
  const source = String(message.content.code ?? "");
  const cursor = offsetOf(source, message.content.cursor_pos);
  const detail = message.content.detail_level === 1 ? 1 : 0;
  const found = await host.interpreter.inspect(source, cursor, detail);
  reply({
    status: "ok",
    found: found !== undefined,
    data: found ? { "text/markdown": found.markdown, "text/plain": found.plain } : {},
    metadata: {},
  });
}

async function history({ message, reply }: Request<"history_reply">, { host }: Parts): Promise<void> {
  reply({ status: "ok", history: await host.history.find(message.content) });
}

function commInfo({ message, reply }: Request<"comm_info_reply">, { comms }: Parts): void {
  const wanted = message.content.target_name;
  const open: Record<string, { target_name: string }> = {};
  for (const [id, target] of comms) if (!wanted || wanted === target) open[id] = { target_name: target };
  reply({ status: "ok", comms: open });
}

function comm({ message, origin }: Request, { comms, host }: Parts): Promise<void> {
  const { header, content } = message;
  const id = String(content.comm_id);
  if (header.msg_type === "comm_open") comms.set(id, String(content.target_name));
  if (header.msg_type === "comm_close") comms.delete(id);
  return host.interpreter.comm(origin, message);
}

function deleteSubshell({ message, reply }: Request<"delete_subshell_reply">, { cells }: Parts): void {
  const id = String(message.content.subshell_id ?? "");
  if (cells.deleteSubshell(id)) reply({ status: "ok" });
  else reply(failure("SubshellError", `there is no subshell ${id}`));
}
