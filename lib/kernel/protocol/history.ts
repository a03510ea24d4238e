// What of the history a `history_request` asks for, wherever that is kept.
import type { Content } from "./messages.ts";

export type Entry = [session: string, line: number, source: string];
/** As `history_reply` wants it. */
export type Found = [session: number, line: number, source: string | [string, null]];

/**
 * Answers a `history_request`.
 *
 * @param sessions all entries, by session, the oldest first
 * @param own the session that asks
 */
export function findIn(sessions: [string, Entry[]][], own: string, request: Content): Found[] {
  const numbers = new Map(sessions.map(([session], index) => [session, index + 1]));
  const all: Found[] = [];
  for (const [session, entries] of sessions) {
    for (const [, line, source] of entries) all.push([numbers.get(session)!, line, source]);
  }
  let found: Found[];
  const n = typeof request.n === "number" && request.n >= 0 ? request.n : undefined;
  if (request.hist_access_type === "range") {
    const asked = Number(request.session ?? 0);
    const session = asked > 0 ? asked : (numbers.get(own) ?? sessions.length + 1) + asked;
    const start = Number(request.start ?? 0);
    const stop = typeof request.stop === "number" ? request.stop : Number.POSITIVE_INFINITY;
    found = all.filter(([of, line]) => of === session && line >= start && line < stop);
  } else if (request.hist_access_type === "search") {
    const isMatch = glob(String(request.pattern ?? "*"));
    found = all.filter(([, , source]) => isMatch(source as string));
    if (request.unique === true) {
      const last = new Map<unknown, Found>();
      for (const entry of found) {
        last.delete(entry[2]); // The newest of equal entries stays, in its place.
        last.set(entry[2], entry);
      }
      found = [...last.values()];
    }
    if (n !== undefined) found = n === 0 ? [] : found.slice(-n);
  } else {
    found = n === undefined ? all : n === 0 ? [] : all.slice(-n);
  }
  return request.output === true
    ? found.map(([session, line, source]) => [session, line, [source as string, null]])
    : found;
}

/** Jupyter's search pattern: `*` and `?` as in file names. Without a backtracking RegExp: a pattern comes from outside. */
function glob(pattern: string): (text: string) => boolean {
  return (text) => {
    let at = 0;
    let in_ = 0;
    let star = -1;
    let mark = 0;
    while (at < text.length) {
      if (
        in_ < pattern.length &&
        (pattern[in_] === "?" || pattern[in_] === text[at]) &&
        pattern[in_] !== "*"
      ) {
        at++;
        in_++;
      } else if (pattern[in_] === "*") {
        star = in_++;
        mark = at;
      } else if (star >= 0) {
        in_ = star + 1;
        at = ++mark;
      } else return false;
    }
    while (pattern[in_] === "*") in_++;
    return in_ === pattern.length;
  };
}
