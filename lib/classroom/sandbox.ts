// Kernels for code that nobody trusts: in bubblewrap or a container, with limits of memory, processes and files.
import { readdirSync, readFileSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { type KernelClient, kernelArguments, startKernel } from "../kernel/client.ts";
import { ownPrefix, topForSockets } from "../util/temporary.ts";
import { confinement } from "./bubblewrap.ts";
import { scopeArguments, scopeState } from "./cgroup.ts";
import {
  containerArguments,
  containerName,
  defaultImage,
  ranOutOfMemory,
  removeContainer,
} from "./container.ts";
import { diskUse, unnamedSize } from "./disk-use.ts";
import type { Engine, Isolation, Limits } from "./isolation.ts";

/** What the folders of sandboxes are called. */
export const sandboxPrefix = "slimlab-grade-";

/** A kernel for a student's code. */
export interface Sandbox {
  readonly kernel: KernelClient;
  readonly isolation: Isolation;
  /** The folder where the notebook runs. */
  readonly work: string;
  /** The folder of its sockets. */
  readonly sockets: string;
  /** The limit that ended it, in words. */
  readonly exceeded: string | undefined;
  /** Ends every process of it and removes its folders. */
  end(): Promise<void>;
}

/** How a sandbox is started. */
export interface SandboxOptions {
  isolation: Isolation;
  limits?: Limits;
  /** What containers are made of. */
  image?: string;
}

/** Starts a kernel for a student's code. */
export async function startSandbox(options: SandboxOptions = { isolation: "bubblewrap" }): Promise<Sandbox> {
  const base = await mkdtemp(ownPrefix(sandboxPrefix, topForSockets()));
  const [work, sockets] = [join(base, "work"), join(base, "k")];
  await Promise.all([mkdir(work), mkdir(sockets)]);
  const { isolation, limits = {} } = options;
  const windows = process.platform === "win32";
  const container = isContainer(isolation) ? containerName() : undefined;
  try {
    const kernel = await startKernel({
      cwd: work,
      argv: commandLine(options, work, sockets, container),
      ...(!windows && { transport: "ipc" as const, folder: sockets }),
      env: isolation === "none" && !windows ? bareEnvironment(work) : {},
    });
    const { memory = 4096, processes = 64, disk = 1024 } = limits;
    return watched(kernel, { isolation, work, sockets, base, memory, processes, disk, container });
  } catch (error) {
    if (container !== undefined) removeContainer(isolation as Engine, container);
    await rm(base, { recursive: true, force: true });
    throw error;
  }
}

function isContainer(isolation: Isolation): isolation is Engine {
  return isolation === "podman" || isolation === "docker";
}

function commandLine(
  { isolation, limits = {}, image = defaultImage }: SandboxOptions,
  work: string,
  sockets: string,
  container: string | undefined,
): string[] {
  const kernel = kernelArguments("--check=off");
  if (isContainer(isolation)) {
    return [...containerArguments(isolation, image, container!, [work, sockets], limits), ...kernel];
  }
  const scope = scopeState().works ? scopeArguments(limits) : [];
  if (isolation === "none") return [...scope, ...kernel];
  // dash counts blocks of 512 bytes.
  const limit = `ulimit -c 0; ulimit -f ${(limits.fileSize ?? 256) * 2048}; exec "$@"`;
  const confined = [...confinement(), "--bind", work, work, "--bind", sockets, sockets, "--chdir", work];
  // The root is a file system in memory: nothing can be written to it once all is in its place.
  confined.push("--remount-ro", "/");
  return [...scope, "bwrap", ...confined, "--", "/bin/sh", "-c", limit, "sh", ...kernel];
}

/** Nothing of the grader's own variables, but what a process needs to run at all. */
function bareEnvironment(home: string): Record<string, string | undefined> {
  const cleared = Object.fromEntries(Object.keys(process.env).map((name) => [name, undefined]));
  const { PATH, LANG, XDG_RUNTIME_DIR, DBUS_SESSION_BUS_ADDRESS } = process.env;
  // The last two are what systemd-run reaches the user's systemd by.
  const scope = scopeState().works ? { XDG_RUNTIME_DIR, DBUS_SESSION_BUS_ADDRESS } : {};
  return { ...cleared, PATH, HOME: home, LANG, SLIMLAB_COMPLETION: "off", ...scope };
}

interface Watched extends Sandbox {
  exceeded: string | undefined;
  readonly base: string;
  readonly container: string | undefined;
  readonly memory: number;
  readonly processes: number;
  readonly disk: number;
}

const running = new Set<Watched>();
let timer: NodeJS.Timeout | undefined;

function watched(
  kernel: KernelClient,
  parts: {
    isolation: Isolation;
    work: string;
    sockets: string;
    base: string;
    memory: number;
    processes: number;
    disk: number;
    container: string | undefined;
  },
): Sandbox {
  const { base, container } = parts;
  const engine = parts.isolation as Engine;
  let gone = false;
  let ending = false;
  void kernel.exited.then(() => {
    gone = true; // From now on its number may be another's.
    running.delete(sandbox);
    if (container !== undefined && !ending && ranOutOfMemory(engine, container)) {
      sandbox.exceeded = `more than ${parts.memory} MiB of memory`;
    }
  });
  const sandbox: Watched = {
    kernel,
    ...parts,
    exceeded: undefined,
    async end() {
      running.delete(sandbox);
      ending = true;
      if (container !== undefined) removeContainer(engine, container);
      if (!gone) killTree(kernel.pid);
      await kernel.exited;
      kernel.close();
      await removeAll(base);
    },
  };
  running.add(sandbox);
  timer ??= setInterval(watch, 250).unref();
  return sandbox;
}

/** Ends sandboxes whose processes use too much: where no control group can be had, looking is what limits. */
function watch(): void {
  if (running.size === 0) {
    clearInterval(timer);
    timer = undefined;
    return;
  }
  const table = processTable();
  const children = childrenIn(table);
  for (const sandbox of running) {
    const { memory, processes, disk, base, container, isolation } = sandbox;
    // A container's own limits are its engine's; its processes are not below this one.
    const all = container === undefined ? descendants(table, children, sandbox.kernel.pid) : [];
    const megabytes = all.reduce((sum, pid) => sum + (table.get(pid)?.pages ?? 0), 0) / 256;
    if (megabytes > memory) sandbox.exceeded = `more than ${memory} MiB of memory`;
    if (all.length > processes) sandbox.exceeded = `more than ${processes} processes`;
    if ((diskUse(base) + unnamedSize(all)) / 2 ** 20 > disk) {
      sandbox.exceeded = `more than ${disk} MiB of files`;
    }
    if (!sandbox.exceeded) continue;
    if (container !== undefined) removeContainer(isolation as Engine, container);
    killTree(sandbox.kernel.pid);
  }
}

/** Removes a folder of a student's, also where he has forbidden that. */
async function removeAll(folder: string): Promise<void> {
  const remove = () => rm(folder, { recursive: true, force: true, maxRetries: 5 });
  await remove()
    .catch(() => unlock(folder).then(remove))
    .catch(() => {});
}

async function unlock(folder: string): Promise<void> {
  await chmod(folder, 0o700);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await unlock(join(folder, entry.name));
  }
}

/** The processes of this machine: parent and resident pages of each. Empty where there is no /proc. */
function processTable(): Map<number, { parent: number; pages: number }> {
  const table = new Map<number, { parent: number; pages: number }>();
  let names: string[] = [];
  try {
    names = readdirSync("/proc");
  } catch {
    return table;
  }
  for (const name of names) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      // The program's name stands in brackets and may hold anything.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      table.set(pid, { parent: Number(fields[1]), pages: Number(fields[21]) });
    } catch {
      // It has just ended.
    }
  }
  return table;
}

function childrenIn(table: Map<number, { parent: number }>): Map<number, number[]> {
  const children = new Map<number, number[]>();
  for (const [pid, { parent }] of table) {
    const known = children.get(parent);
    if (known) known.push(pid);
    else children.set(parent, [pid]);
  }
  return children;
}

function descendants(
  table: Map<number, unknown>,
  children: Map<number, number[]>,
  root: number | undefined,
): number[] {
  if (root === undefined) return [];
  const found: number[] = [];
  const queue = [root];
  while (queue.length > 0) {
    const pid = queue.pop()!;
    if (table.has(pid)) found.push(pid);
    queue.push(...(children.get(pid) ?? []));
  }
  return found;
}

/** Ends a process and all that it started. Bubblewrap's own end takes its processes along. */
function killTree(root: number | undefined): void {
  if (root === undefined) return;
  const table = processTable();
  for (const pid of [root, ...descendants(table, childrenIn(table), root)]) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended already.
    }
  }
}
