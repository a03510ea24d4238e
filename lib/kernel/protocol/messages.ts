// A Jupyter message as the kernel handles it (messaging protocol 5.4): what every message has, whatever it is about.
// How one looks on a wire is the transport's business.

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
  /** Whom it came from or goes to (a transport's own bytes), or its topic (on iopub). */
  identities: Uint8Array[];
  header: Header;
  parent_header: Partial<Header>;
  metadata: Content;
  content: Content;
  buffers: Uint8Array[];
}

/** What a request brings along for all that it causes: its header, by which clients find the cell to show output in. */
export interface Origin {
  header: Partial<Header>;
  /** The client that is to be asked for input. */
  identities: Uint8Array[];
  /** Nothing of it is published. */
  silent: boolean;
  /** It may ask for input. */
  stdin: boolean;
}

/** Of what no request has caused. */
export const noOrigin: Origin = { header: {}, identities: [], silent: false, stdin: false };

/** Makes a message's header. */
export function header(msg_type: string, session: string, username: string): Header {
  return {
    msg_id: crypto.randomUUID(),
    session,
    username,
    date: new Date().toISOString(),
    msg_type,
    version: protocolVersion,
  };
}
