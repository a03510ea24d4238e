// What a cell evaluates to, shown: at once, or when it is there. The same on Node's thread and in a browser's worker.
import { isPromise } from "#platform";
import type { MimeBundle } from "../../util/display.ts";
import type { Content } from "../protocol/messages.ts";
import type { PublishedType } from "../protocol/reference.ts";
import { DisplayHandle } from "../show/display.ts";
import { bundleOf, showsNothing } from "../show/show.ts";
import type { Scope, Turns } from "./owner.ts";

/** What showing a cell's value takes. */
interface Showing {
  turns: Turns;
  own: Scope;
  count: number;
  publish(type: PublishedType, content: Content): void;
  /** Told of the value that is shown. */
  keep?(count: number, value: unknown): void;
}

/** Shows what a cell evaluates to; what comes later holds the cell open till then. */
export function showResult(value: unknown, showing: Showing): void {
  if (value === undefined || value instanceof DisplayHandle) return;
  const { turns, own, count } = showing;
  if (isPromise(value)) {
    own.held.add(value.then((settled) => turns.run(own, () => showResult(settled, showing))));
    return;
  }
  showing.keep?.(count, value);
  const result = (data: MimeBundle) => {
    if (showsNothing(data)) return;
    showing.publish("execute_result", { execution_count: count, data, metadata: {} });
  };
  const bundle = bundleOf(value);
  if (isPromise(bundle)) own.held.add(bundle.then((settled) => result(settled as MimeBundle)));
  else result(bundle as MimeBundle);
}
