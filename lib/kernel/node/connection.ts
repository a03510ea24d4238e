// The connection file: where Jupyter wants the kernel's five sockets, and the key that messages are signed with.
import { chmodSync, readFileSync, statSync } from "node:fs";
import { curveKeyPair } from "zeromq";
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
  /** The kernel's own keys, where messages are to be encrypted (CurveZMQ; Z85, 40 characters each). */
  curve_publickey?: string;
  curve_secretkey?: string;
}

/** The address of one of the five sockets. */
export function address(connection: Connection, channel: Channel): string {
  const port = connection[`${channel}_port`];
  const { transport, ip } = connection;
  if (transport === "ipc") return `ipc://${ip}-${port}`;
  return isVersion6(ip) && !ip.startsWith("[") ? `tcp://[${ip}]:${port}` : `tcp://${ip}:${port}`;
}

/** Whether an address is of the Internet Protocol's version 6, which a socket must be told. */
export function isVersion6(ip: string): boolean {
  return ip.includes(":");
}

/** What a socket of the kernel's needs to encrypt what it carries; nothing where the connection file has no keys. */
export function serverKeys({ curve_publickey, curve_secretkey }: Connection): object {
  if (!curve_publickey || !curve_secretkey) return {};
  return { curveServer: true, curvePublicKey: curve_publickey, curveSecretKey: curve_secretkey };
}

/** The same for a client's socket. Its keys are its own, made anew: the kernel knows clients by what they sign. */
export function clientKeys({ curve_publickey }: Connection): object {
  if (!curve_publickey) return {};
  const { publicKey, secretKey } = curveKeyPair();
  return { curveServerKey: curve_publickey, curvePublicKey: publicKey, curveSecretKey: secretKey };
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
  for (const name of ["curve_publickey", "curve_secretkey"] as const) {
    const key = connection[name];
    if (key !== undefined && key !== null && !/^[!-~]{40}$/.test(key)) {
      throw new Error(`the connection file's ${name} must be 40 characters (Z85), got ${String(key).length}`);
    }
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
  const isLocal =
    connection.transport === "ipc" || /^(127\.\d+\.\d+\.\d+|localhost|::1|\[::1\])$/.test(connection.ip);
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
