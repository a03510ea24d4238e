// How a Jupyter message looks on the wire: ZeroMQ frames, signed with HMAC (messaging protocol 5.4, "The wire protocol").
import { createHmac, type Hmac, randomUUID, timingSafeEqual } from "node:crypto";
import { userInfo } from "node:os";

/** The version of the messaging protocol that this kernel and this client speak. */
export const protocolVersion = "5.4";

export type Channel = "shell" | "iopub" | "stdin" | "control" | "hb";

export interface Header {
  msg_id: string;
  session: string;
  username: string;
  date: string;
  msg_type: string;
  version: string;
  subshell_id?: string | null;
}

/** A message's content; the receiver checks what it reads from it. */
// biome-ignore lint/suspicious/noExplicitAny: a content's shape follows from its msg_type, which only the handler knows.
export type Content = Record<string, any>;

export interface Message {
  /** Routing frames before the delimiter (for a reply), or the topic (on iopub). */
  identities: Uint8Array[];
  header: Header;
  parent_header: Partial<Header>;
  metadata: Content;
  content: Content;
  buffers: Uint8Array[];
}

/** What a connection file says. */
export interface Connection {
  transport: "tcp" | "ipc";
  ip: string;
  shell_port: number;
  iopub_port: number;
  stdin_port: number;
  control_port: number;
  hb_port: number;
  key: string;
  signature_scheme: string;
  kernel_name?: string;
}

/** Says why frames are no message that may be believed. */
export class WireError extends Error {}

const delimiter = Buffer.from("<IDS|MSG>");
const user = (() => {
  try {
    return userInfo().username;
  } catch {
    return "slimlab"; // A container may run under a user id that has no name.
  }
})();

/** The address of one of the five sockets. */
export function address(connection: Connection, channel: Channel): string {
  const port = connection[`${channel}_port`];
  return connection.transport === "ipc" ? `ipc://${connection.ip}-${port}` : `tcp://${connection.ip}:${port}`;
}

/** Makes a message's header. */
export function header(msg_type: string, session: string): Header {
  return {
    msg_id: randomUUID(),
    session,
    username: user,
    date: new Date().toISOString(),
    msg_type,
    version: protocolVersion,
  };
}

function makeHmac(connection: Pick<Connection, "key" | "signature_scheme">): Hmac {
  const name = connection.signature_scheme.replace(/^hmac-/, "");
  for (let attempt = 1; ; attempt++) {
    try {
      return createHmac(name, connection.key);
    } catch (error) {
      // Node 24 has been seen not to find its own sha256 while two threads looked for it at once.
      if (attempt === 10) throw error;
    }
  }
}

function sign(connection: Pick<Connection, "key" | "signature_scheme">, parts: Uint8Array[]): string {
  if (!connection.key) return "";
  const hmac = makeHmac(connection);
  for (const part of parts) hmac.update(part);
  return hmac.digest("hex");
}

/** A message as the frames to send. */
export function encode(
  message: Message,
  connection: Pick<Connection, "key" | "signature_scheme">,
): Uint8Array[] {
  const parts = [message.header, message.parent_header, message.metadata, message.content].map((part) =>
    Buffer.from(JSON.stringify(part)),
  );
  return [
    ...message.identities,
    delimiter,
    Buffer.from(sign(connection, parts)),
    ...parts,
    ...message.buffers,
  ];
}

/** Received frames as a message. Throws a WireError unless they are whole, signed with the key, and JSON objects. */
export function decode(
  frames: Uint8Array[],
  connection: Pick<Connection, "key" | "signature_scheme">,
): Message & { signature: string } {
  const at = frames.findIndex((frame) => delimiter.equals(frame));
  if (at < 0) throw new WireError("no delimiter");
  if (frames.length < at + 6) throw new WireError("too few frames");
  const parts = frames.slice(at + 2, at + 6);
  const given = Buffer.from(frames[at + 1]);
  const expected = Buffer.from(sign(connection, parts));
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    throw new WireError(given.length === 0 ? "no signature" : "wrong signature");
  }
  const [head, parent, metadata, content] = parts.map(parsePart);
  if (typeof head.msg_id !== "string" || typeof head.msg_type !== "string") {
    throw new WireError("a header without msg_id or msg_type");
  }
  return {
    identities: frames.slice(0, at),
    header: head as Header,
    parent_header: parent,
    metadata,
    content,
    buffers: frames.slice(at + 6),
    signature: given.toString("latin1"),
  };
}

function parsePart(frame: Uint8Array): Content {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength).toString("utf8"));
  } catch {
    throw new WireError("a frame that is not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new WireError("a frame that is not a JSON object");
  return value as Content;
}

/** Reads a connection file's text; throws an Error that says what is missing or wrong. */
export function parseConnection(text: string): Connection {
  let value: Partial<Connection>;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error("the connection file is not JSON");
  }
  if (typeof value !== "object" || value === null)
    throw new Error("the connection file is not a JSON object");
  const connection = {
    transport: "tcp",
    ip: "127.0.0.1",
    key: "",
    signature_scheme: "hmac-sha256",
    ...value,
  };
  for (const name of ["shell_port", "iopub_port", "stdin_port", "control_port", "hb_port"] as const) {
    const port = connection[name];
    if (!Number.isInteger(port) || port! < 1 || port! > 65535) {
      throw new Error(
        `the connection file's ${name} must be a whole number from 1 to 65535, got ${String(port)}`,
      );
    }
  }
  if (connection.transport !== "tcp" && connection.transport !== "ipc") {
    throw new Error(`the connection file's transport must be "tcp" or "ipc", got "${connection.transport}"`);
  }
  try {
    makeHmac(connection as Connection);
  } catch {
    throw new Error(`the connection file's signature_scheme is unknown here: ${connection.signature_scheme}`);
  }
  return connection as Connection;
}
