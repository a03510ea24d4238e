// Files that lie compressed by gzip on a web server and are unpacked by the page that asks for them: they take less room
// there, and few bytes also from servers that compress nothing.

/**
 * A compressed file's text. Some servers take such files apart before they send them: what comes unpacked is taken as it is.
 *
 * @throws Error when the server has no such file, or what comes is damaged
 */
export async function packedText(url: string): Promise<string> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: the server answered ${response.status}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return new TextDecoder().decode(bytes);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

/** A module, whose file lies compressed where its name ends with `.gz`. */
export async function importPacked<T>(url: string): Promise<T> {
  if (!url.endsWith(".gz")) return import(url);
  const unpacked = URL.createObjectURL(new Blob([await packedText(url)], { type: "text/javascript" }));
  try {
    return await import(unpacked);
  } finally {
    URL.revokeObjectURL(unpacked);
  }
}
