// A request on its way through the kernel.
import type { Content, Message, Origin } from "./messages.ts";
import type { Failure, ReplyContent, ReplyType } from "./reference.ts";

export interface Request<T extends ReplyType = ReplyType> {
  channel: "shell" | "control";
  message: Message;
  origin: Origin;
  reply(content: ReplyContent<T> | Failure, more?: { metadata?: Content }): void;
}

/** The reply to a request that cannot be done. */
export function failure(ename: string, evalue: string, traceback: string[] = []): Failure {
  return { status: "error", ename, evalue, traceback };
}
