// The connection file: where Jupyter wants the kernel's five sockets, and the key that messages are signed with.
import { chmodSync, readFileSync, statSync } from "node:fs";
import type { Channel } from "../protocol/messages.ts";
import { makeHmac } from "./wire.ts";

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

/** The address of one of the five sockets. */
export function address(connection: Connection, channel: Channel): string {
  const port = connection[`${channel}_port`];
  return connection.transport === "ipc" ? `ipc://${connection.ip}-${port}` : `tcp://${connection.ip}:${port}`;
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
    makeHmac(connection);
  } catch {
    throw new Error(`the connection file's signature_scheme is unknown here: ${connection.signature_scheme}`);
  }
  return connection as Connection;
}

/** Reads the connection file that a kernel is started with. Throws where other machines could reach the kernel. */
export function readConnection(file: string, log: (text: string) => void): Connection {
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
