// The site's service worker, in front of JupyterLite's own (see ../offline.ts): what has been loaded once is there without a
// network, and pages share memory with their workers (`input()`, interrupts without loss) also from servers that send no
// headers.

/** Names what the site holds: put in by ../offline.ts. */
declare const edition: string;

interface Extendable extends Event {
  waitUntil(work: Promise<unknown>): void;
}

interface Fetching extends Extendable {
  readonly request: Request;
  respondWith(answer: Promise<Response>): void;
}

interface ServiceWorkerScope {
  readonly registration: { scope: string };
  addEventListener(type: "install" | "activate", listener: (event: Extendable) => void): void;
  addEventListener(type: "fetch", listener: (event: Fetching) => void): void;
  addEventListener(type: "message", listener: (event: Extendable & MessageEvent) => void): void;
}

const worker = globalThis as unknown as ServiceWorkerScope;
const { scope } = worker.registration;
// Sites of one server each have their own, by their folder.
const site = `slimlab ${scope} `;
const cacheName = site + edition;

/** What JupyterLite's own service worker answers: files and questions that pages hold for their workers. */
const forPages = /\/api\/(drive|stdin\/|service-worker-heartbeat)/;
/** Addresses that change with what they hold. */
const lasting = /[./-][0-9a-f]{7,16}\.(js|js\.gz|woff2?)$|\/kernel-[0-9a-f]{16}\//;

// A page's cells may share memory with it: with other sites' pictures, as long as these come without the reader's cookies.
const isolation = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "credentialless",
  "cross-origin-resource-policy": "same-origin",
};

/** Files do not depend on what follows their address. */
const keyOf = (url: string) => url.replace(/[?#].*$/, "");

/** Keeps a whole answer. Where there is no room, the site works on and needs its network. */
async function keep(key: string, answer: Response): Promise<void> {
  if (answer.status !== 200 || answer.type !== "basic") return;
  try {
    await (await caches.open(cacheName)).put(key, answer);
  } catch (error) {
    console.warn(`slimlab: ${key} is not kept: ${(error as Error).message}`);
  }
}

const kept = async (key: string): Promise<Response | undefined> =>
  caches.match(key, { cacheName }).catch(() => undefined);

async function answerTo(event: Fetching): Promise<Response> {
  const { request } = event;
  const key = keyOf(request.url);
  const found = lasting.test(key) ? await kept(key) : undefined;
  if (found) return found;
  let answer: Response;
  try {
    answer = await fetch(request);
  } catch (error) {
    const old = await kept(key);
    if (!old) throw error;
    return old;
  }
  if (answer.ok) event.waitUntil(keep(key, answer.clone()));
  return answer.status >= 500 ? ((await kept(key)) ?? answer) : answer;
}

function isolated(answer: Response): Response {
  if (answer.type !== "basic" && answer.type !== "default") return answer;
  const { body, status, statusText } = answer;
  const headers = new Headers(answer.headers);
  for (const [name, value] of Object.entries(isolation)) if (!headers.has(name)) headers.set(name, value);
  return new Response(body, { status, statusText, headers });
}

worker.addEventListener("fetch", (event) => {
  const { url, method, headers } = event.request;
  if (method !== "GET" || !url.startsWith(scope) || forPages.test(url) || headers.has("range")) return;
  event.stopImmediatePropagation();
  event.respondWith(answerTo(event).then(isolated));
});

worker.addEventListener("activate", (event) => {
  const outdated = caches
    .keys()
    .then((names) => names.filter((name) => name.startsWith(site) && name !== cacheName))
    .then((names) => Promise.all(names.map((name) => caches.delete(name))));
  event.waitUntil(outdated.catch(() => {}));
});

// What a page had loaded before there was a service worker: its browser has it still.
worker.addEventListener("message", (event) => {
  const urls: string[] = event.data?.loaded ?? [];
  const keys = new Set(urls.map(keyOf).filter((url) => url.startsWith(scope) && !forPages.test(url)));
  const add = async (key: string) => {
    if (!(await kept(key))) await keep(key, await fetch(key, { cache: "force-cache" }));
  };
  event.waitUntil(Promise.allSettled([...keys].map(add)));
});
