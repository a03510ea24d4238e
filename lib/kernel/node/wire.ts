// How a Jupyter message looks on the wire: ZeroMQ frames, signed with HMAC (messaging protocol 5.4, "The wire protocol").
import { createHmac, type Hmac, timingSafeEqual } from "node:crypto";
import { userInfo } from "node:os";
import { type Content, type Header, type Message, header as makeHeader } from "../protocol/messages.ts";

/** What signs a message. */
export interface Signing {
  key: string;
  signature_scheme: string;
}

/** Says why frames are no message that may be believed. */
export class WireError extends Error {}

const delimiter = Buffer.from("<IDS|MSG>");
/** Who runs this process. */
export const username: string = (() => {
  try {
    return userInfo().username;
  } catch {
    return "slimlab"; // A container may run under a user id that has no name.
  }
})();

/** Makes a message's header, for the user of this process. */
export function header(msg_type: string, session: string): Header {
  return makeHeader(msg_type, session, username);
}

/** Throws where the scheme is unknown here. */
export function makeHmac(signing: Signing): Hmac {
  const name = signing.signature_scheme.replace(/^hmac-/, "");
  for (let attempt = 1; ; attempt++) {
    try {
      return createHmac(name, signing.key);
    } catch (error) {
      // Node 24 has been seen not to find its own sha256 while two threads looked for it at once.
      if (attempt === 10) throw error;
    }
  }
}

function sign(signing: Signing, parts: Uint8Array[]): string {
  if (!signing.key) return "";
  const hmac = makeHmac(signing);
  for (const part of parts) hmac.update(part);
  return hmac.digest("hex");
}

/** A message as the frames to send. */
export function encode(message: Message, signing: Signing): Uint8Array[] {
  const parts = [message.header, message.parent_header, message.metadata, message.content].map((part) =>
    Buffer.from(JSON.stringify(part)),
  );
  return [...message.identities, delimiter, Buffer.from(sign(signing, parts)), ...parts, ...message.buffers];
}

/** Received frames as a message. Throws a WireError unless they are whole, signed with the key, and JSON objects. */
export function decode(frames: Uint8Array[], signing: Signing): Message & { signature: string } {
  const at = frames.findIndex((frame) => delimiter.equals(frame));
  if (at < 0) throw new WireError("no delimiter");
  if (frames.length < at + 6) throw new WireError("too few frames");
  const parts = frames.slice(at + 2, at + 6);
  const given = Buffer.from(frames[at + 1]);
  const expected = Buffer.from(sign(signing, parts));
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
