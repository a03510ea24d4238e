// The protocol's reference: what stands in each message. The kernel's types are derived from it, and the tests hold every
// message of the kernel against it. (Messaging protocol 5.4, https://jupyter-client.readthedocs.io.)
import type { Message } from "./messages.ts";
import {
  either,
  flag,
  list,
  map,
  nothing,
  type Of,
  object,
  oneOf,
  real,
  record,
  type Schema,
  text,
  tuple,
  whole,
} from "./schema.ts";

const ok = oneOf("ok");
const shown = { data: record, metadata: record };
const errorFields = { ename: text, evalue: text, traceback: list(text) };
const error = object(errorFields);
const failure = object({ status: oneOf("error"), ...errorFields });

/** An error as Jupyter's messages carry it. */
export type ErrorContent = Of<typeof error>;
/** The reply to a request that cannot be done. */
export type Failure = Of<typeof failure>;

const expression = either(object({ status: ok, ...shown }), failure);
/** What a reply's `user_expressions` holds for each. */
export type ExpressionResult = Of<typeof expression>;

const executed = { execution_count: whole, user_expressions: map(expression), payload: list(record) };

const languageInfo = object({
  name: text,
  version: text,
  mimetype: text,
  file_extension: text,
  pygments_lexer: text,
  codemirror_mode: text,
  nbconvert_exporter: text,
});

const kernelInfo = {
  protocol_version: text,
  implementation: text,
  implementation_version: text,
  language_info: languageInfo,
  banner: text,
  debugger: flag,
  help_links: list(object({ text, url: text })),
  supported_features: list(text),
};

const ports = {
  shell_port: whole,
  iopub_port: whole,
  stdin_port: whole,
  control_port: whole,
  hb_port: whole,
};

const typedMatch = object({ start: whole, end: whole, text, type: text }, { signature: text });
/** One completion, as JupyterLab wants it: where it goes, and what it is. */
export type TypedMatch = Of<typeof typedMatch>;

const completions = {
  matches: list(text),
  cursor_start: whole,
  cursor_end: whole,
  metadata: object({}, { _jupyter_types_experimental: list(typedMatch) }),
};

const history = list(tuple(whole, whole, either(text, tuple(text, nothing))));
/** Of ipykernel's making, and not of the protocol's: what JupyterLab's panels of memory and processor ask. */
const usage = {
  hostname: text,
  pid: whole,
  kernel_cpu: real,
  kernel_memory: whole,
  cpu_count: whole,
  host_virtual_memory: map(real),
};

const stopped = object({ status: ok, restart: flag });

/** What stands in each reply. Any may also be a `failure`. */
export const replies = {
  execute_reply: either(
    object({ status: ok, ...executed }),
    object({ status: oneOf("error"), ...errorFields, ...executed }),
    // It never ran, and has no count.
    object({ status: oneOf("aborted") }),
  ),
  kernel_info_reply: object({ status: ok, ...kernelInfo }),
  connect_reply: object({ status: ok, ...ports }),
  is_complete_reply: either(
    object({ status: oneOf("complete", "invalid", "unknown") }),
    object({ status: oneOf("incomplete"), indent: text }),
  ),
  complete_reply: object({ status: ok, ...completions }),
  inspect_reply: object({ status: ok, found: flag, ...shown }),
  history_reply: object({ status: ok, history }),
  comm_info_reply: object({ status: ok, comms: map(object({ target_name: text })) }),
  interrupt_reply: object({ status: ok }),
  debug_reply: object(
    { type: oneOf("response"), seq: whole, request_seq: whole, command: text, success: flag, body: record },
    { message: text },
  ),
  create_subshell_reply: object({ status: ok, subshell_id: text }),
  delete_subshell_reply: object({ status: ok }),
  list_subshell_reply: object({ status: ok, subshell_id: list(text) }),
  shutdown_reply: stopped,
  usage_reply: object(usage, { host_cpu_percent: real }),
} as const;

/** What stands in each message that the kernel sends of its own accord: on iopub, and `input_request` on stdin. */
export const published = {
  status: object({ execution_state: oneOf("busy", "idle", "starting") }),
  execute_input: object({ code: text, execution_count: whole }),
  execute_result: object({ execution_count: whole, ...shown }),
  stream: object({ name: oneOf("stdout", "stderr"), text }),
  display_data: object(shown, { transient: object({ display_id: text }) }),
  update_display_data: object({ ...shown, transient: object({ display_id: text }) }),
  clear_output: object({ wait: flag }),
  error,
  comm_open: object({ comm_id: text, target_name: text, data: record }),
  comm_msg: object({ comm_id: text, data: record }),
  comm_close: object({ comm_id: text, data: record }),
  debug_event: object({ type: oneOf("event"), seq: whole, event: text, body: record }),
  shutdown_reply: stopped,
  iopub_welcome: object({ subscription: text }),
  input_request: object({ prompt: text, password: flag }),
} as const;

export type ReplyType = keyof typeof replies;
export type ReplyContent<T extends ReplyType> = Of<(typeof replies)[T]>;
export type PublishedType = keyof typeof published;
export type PublishedContent<T extends PublishedType> = Of<(typeof published)[T]>;

export type KernelInfo = Omit<ReplyContent<"kernel_info_reply">, "status" | "protocol_version">;
export type Ports = Omit<ReplyContent<"connect_reply">, "status">;

export type Completeness = ReplyContent<"is_complete_reply">;

const heads = object(
  { msg_id: text, session: text, username: text, date: text, msg_type: text, version: text },
  { subshell_id: either(text, nothing) },
);

/** What is wrong with a reply's content: nothing, if the list is empty. */
export function replyFaults(type: ReplyType, content: unknown): string[] {
  const schema: Schema<unknown> = replies[type];
  return either(schema, failure).faults(content, type);
}

/** What is wrong with a message of the kernel's: nothing, if the list is empty. */
export function faultsOf({ header, parent_header, metadata, content }: Message, channel: string): string[] {
  const type = header.msg_type;
  const isReply = channel === "shell" || channel === "control";
  const table: Record<string, Schema<unknown>> = isReply ? replies : published;
  const faults = [...heads.faults(header, "header"), ...record.faults(metadata, "metadata")];
  if (Object.keys(parent_header).length > 0) faults.push(...heads.faults(parent_header, "parent_header"));
  if (Object.hasOwn(table, type)) {
    const schema = isReply ? either(table[type], failure) : table[type];
    faults.push(...schema.faults(content, type));
  } else if (!isReply || (content as Partial<Failure>).ename !== "NotImplementedError") {
    faults.push(`${type} is not in the reference of ${channel}`);
  }
  return faults;
}
