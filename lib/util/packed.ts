// Files that lie compressed by gzip on a web server and are unpacked by the page that asks for them: they take less room
// there, and few bytes also from servers that compress nothing.

/** A file unpacked. Some servers take such files apart before they send them: what comes unpacked is taken as it is. */
async function unpacked(url: string): Promise<Response> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: the server answered ${response.status}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return new Response(bytes);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
}

/**
 * A compressed file's text.
 *
 * @throws Error when the server has no such file, or what comes is damaged
 */
export async function packedText(url: string): Promise<string> {
  return (await unpacked(url)).text();
}

/** A module, whose file lies compressed where its name ends with `.gz`. */
export async function importPacked<T>(url: string): Promise<T> {
  if (!url.endsWith(".gz")) return import(url);
  const bytes = await (await unpacked(url)).arrayBuffer();
  const script = URL.createObjectURL(new Blob([bytes], { type: "text/javascript" }));
  try {
    return await import(script);
  } finally {
    URL.revokeObjectURL(script);
  }
}
