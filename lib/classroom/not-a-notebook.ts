// What a file is that has a notebook's name and is none: a student who knows that hands in the right one.

/** How each kind begins, and what it is. */
const kinds: readonly [begins: RegExp, what: string][] = [
  [/^[^ -~]\u008b/, "it is compressed (gzip)"],
  [/^PK[^ -~]{2}/, "it is a zip archive"],
  [/^%PDF/, "it is a PDF"],
  [
    /^\s*<(?:!doctype html|html|head|body)\b/i,
    "it is a web page: was it downloaded from where one must sign in?",
  ],
  [/^version https:\/\/git-lfs/, "it is Git LFS's pointer to the notebook"],
  [/^(?:<<<<<<<|=======|>>>>>>>)(?: |\r?$)/m, "Git has left the marks of a merge in it"],
];

/** What the bytes are of a file that is not JSON; undefined where that is not known. */
export function whatElse(bytes: Uint8Array): string | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 1_000_000)).toString(
    "latin1",
  );
  return kinds.find(([begins]) => begins.test(text))?.[1];
}
