// One file over HTTP, whole or not at all: it is held in memory, a broken connection is taken up where it broke, and
// only the caller, who knows the checksum, puts it on disk.
import { joinBytes } from "./join.ts";

/** How far a download is. */
export interface DownloadProgress {
  /** The file's name. */
  file: string;
  /** Bytes received. */
  received: number;
  /** Bytes in all, 0 where the server does not say. */
  total: number;
}

export interface DownloadOptions {
  /** The most bytes the file may have; a longer answer is refused. */
  limit: number;
  onProgress?: (progress: DownloadProgress) => void;
  signal?: AbortSignal;
  /** How often a broken connection is taken up again. */
  retries?: number;
  /** Milliseconds without a byte after which a connection counts as broken. */
  idle?: number;
}

/** A failure that another try at the same address cannot mend. */
class Refused extends Error {}

/**
 * Downloads `url` into memory.
 *
 * @throws Error that says what the server did; the signal's reason when it was aborted
 */
export async function download(url: string, options: DownloadOptions): Promise<Uint8Array> {
  const { limit, onProgress, signal, retries = 3, idle = 30_000 } = options;
  const file = url.slice(url.lastIndexOf("/") + 1);
  let chunks: Uint8Array[] = [];
  let received = 0;
  let total = 0;
  let version: string | null = null;

  for (let attempt = 0; ; attempt++) {
    const quiet = new AbortController();
    const patience = () => setTimeout(() => quiet.abort(new Error(`no byte for ${idle / 1000} s`)), idle);
    let timer = patience();
    try {
      signal?.throwIfAborted();
      // If-Range: a server whose file changed in between sends the new one whole instead of a part that does not fit.
      const headers: Record<string, string> = { "Accept-Encoding": "identity" };
      if (received > 0 && version)
        Object.assign(headers, { Range: `bytes=${received}-`, "If-Range": version });
      const response = await fetch(url, {
        headers,
        signal: signal ? AbortSignal.any([signal, quiet.signal]) : quiet.signal,
      });
      if (response.status !== 206) {
        chunks = [];
        received = 0;
      }
      if (!response.ok || !response.body) {
        await response.body?.cancel();
        const problem = `the server answered ${response.status} ${response.statusText}`.trimEnd();
        throw response.status >= 500 ? new Error(problem) : new Refused(problem);
      }
      version = response.headers.get("etag");
      if (version?.startsWith("W/")) version = null;
      total = received + Number(response.headers.get("content-length") ?? 0);
      const reader = response.body.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        clearTimeout(timer);
        if (done) break;
        timer = patience();
        chunks.push(value);
        received += value.length;
        if (received > limit) {
          await reader.cancel();
          throw new Refused(`the answer is longer than the ${limit} bytes the file can have`);
        }
        onProgress?.({ file, received, total });
      }
      if (total > 0 && received < total)
        throw new Error(`the connection ended after ${received} of ${total} bytes`);
      return joinBytes(chunks);
    } catch (error) {
      clearTimeout(timer);
      signal?.throwIfAborted();
      const reason = quiet.signal.aborted ? quiet.signal.reason : error;
      if (reason instanceof Refused || attempt >= retries) throw new Error(`${url}: ${told(reason)}`);
    }
  }
}

/** fetch says only "fetch failed"; why stands in its cause. */
function told(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause as (Error & { code?: string }) | undefined;
  return cause ? `${error.message} (${cause.code ?? cause.message})` : error.message;
}
