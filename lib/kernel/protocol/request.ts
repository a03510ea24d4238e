// A request on its way through the kernel.
import type { Content, Message, Origin } from "./messages.ts";
import type { ErrorContent, Failure, ReplyContent, ReplyType } from "./reference.ts";

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

/** An error of the kernel's, as a cell ends with it: its name and message, and more lines below them. */
export function errorContent(ename: string, evalue: string, more: string[] = []): ErrorContent {
  return { ename, evalue, traceback: [`\u001b[31m${ename}\u001b[39m: ${evalue}`, ...more] };
}
