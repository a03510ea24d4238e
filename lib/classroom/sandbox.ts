// Kernels for code that nobody trusts: in bubblewrap where it is. The product is read-only there, home and temporary
// folders are private, there is no network, other processes cannot be seen; and time, memory, processes, files have limits.
import { spawnSync } from "node:child_process";
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync, realpathSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { type KernelClient, kernelArguments, startKernel } from "../kernel/client.ts";
import { packageRoot } from "../util/files.ts";

/** How a student's process is kept apart. */
export const isolations = ["bubblewrap", "none"] as const;
export type Isolation = (typeof isolations)[number];

/** What a student's processes may use. */
export interface Limits {
  /** MiB of memory, all processes together. Default 4096. */
  memory?: number;
  /** Processes at a time. Default 64. */
  processes?: number;
  /** MiB of a single file. Default 256. */
  fileSize?: number;
}

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

let bubblewrap: { works: boolean; reason: string } | undefined;

/** Whether bubblewrap isolates here, and if not, why. Asked once. */
export function bubblewrapState(): { works: boolean; reason: string } {
  if (bubblewrap) return bubblewrap;
  if (process.platform !== "linux") {
    bubblewrap = { works: false, reason: `bubblewrap is for Linux, this is ${process.platform}` };
    return bubblewrap;
  }
  const tried = spawnSync("bwrap", [...confinement(), "--", process.execPath, "--version"], {
    encoding: "utf8",
    timeout: 20_000,
  });
  bubblewrap =
    tried.status === 0
      ? { works: true, reason: "" }
      : {
          works: false,
          reason:
            (tried.error as NodeJS.ErrnoException | undefined)?.code === "ENOENT"
              ? "bubblewrap is not installed (Debian and Ubuntu: apt install bubblewrap)"
              : `bubblewrap does not work here: ${(tried.stderr || tried.error?.message || "").trim().split("\n")[0]}`,
        };
  return bubblewrap;
}

/** The arguments of bwrap that are the same for every student. */
function confinement(): string[] {
  const args = ["--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"];
  args.push("--hostname", "sandbox", "--proc", "/proc", "--dev", "/dev", "--ro-bind", "/usr", "/usr");
  for (const name of ["bin", "sbin", "lib", "lib32", "lib64"]) {
    const path = `/${name}`;
    if (!existsSync(path)) continue;
    if (lstatSync(path).isSymbolicLink()) args.push("--symlink", readlinkSync(path), path);
    else args.push("--ro-bind", path, path);
  }
  for (const path of ["/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime"]) {
    args.push("--ro-bind-try", path, path);
  }
  args.push("--size", String(512 * 1024 * 1024), "--tmpfs", "/tmp", "--dir", "/tmp/home");
  const node = realpathSync(process.execPath);
  for (const path of new Set([process.execPath, node])) {
    if (!path.startsWith("/usr/")) args.push("--ro-bind", path, path);
  }
  for (const path of productFolders()) args.push("--ro-bind", path, path);
  // A product in /usr came along whole.
  const notebooks = join(packageRoot, "notebooks");
  if (packageRoot.startsWith("/usr/") && existsSync(notebooks)) args.push("--tmpfs", notebooks);
  const env = {
    PATH: "/usr/bin:/bin",
    HOME: "/tmp/home",
    TMPDIR: "/tmp",
    LANG: "C.UTF-8",
    TZ: "UTC",
    SLIMLAB_COMPLETION: "off",
  };
  for (const [name, value] of Object.entries(env)) args.push("--setenv", name, value);
  return args;
}

/** What of the product a kernel needs: not its notebooks, for they hold solutions. */
function productFolders(): string[] {
  const own = ["dist", "datasets", "lib", "package.json", "node_modules"].map((name) =>
    join(packageRoot, name),
  );
  const found = own.filter((path) => existsSync(path));
  const parent = dirname(packageRoot);
  // Installed into a project, its dependencies lie beside it: all but the package itself, whose notebooks stay out.
  if (basename(parent) === "node_modules") {
    for (const name of readdirSync(parent)) {
      const path = join(parent, name);
      if (path !== packageRoot) found.push(path);
    }
  }
  return found;
}

/** Starts a kernel for a student's code. */
export async function startSandbox(
  options: { isolation: Isolation; limits?: Limits; signal?: AbortSignal } = { isolation: "bubblewrap" },
): Promise<Sandbox> {
  const base = await mkdtemp(join(realpathSync(tmpdir()), "slimlab-"));
  const [work, sockets] = [join(base, "work"), join(base, "k")];
  await Promise.all([mkdir(work), mkdir(sockets)]);
  const confined = options.isolation === "bubblewrap";
  const { memory = 4096, processes = 64, fileSize = 256 } = options.limits ?? {};
  // dash counts blocks of 512 bytes.
  const limit = `ulimit -c 0; ulimit -f ${fileSize * 2048}; exec "$@"`;
  const kernelArgv = kernelArguments("--check=off");
  const argv = confined
    ? [
        "bwrap",
        ...confinement(),
        ...["--bind", work, work, "--bind", sockets, sockets, "--chdir", work],
        ...["--", "/bin/sh", "-c", limit, "sh", ...kernelArgv],
      ]
    : kernelArgv;
  const cleared = Object.fromEntries(Object.keys(process.env).map((name) => [name, undefined]));
  const windows = process.platform === "win32";
  try {
    const kernel = await startKernel({
      cwd: work,
      argv,
      ...(!windows && { transport: "ipc" as const, folder: sockets }),
      env:
        confined || windows
          ? {}
          : {
              ...cleared,
              PATH: process.env.PATH,
              HOME: work,
              LANG: process.env.LANG,
              SLIMLAB_COMPLETION: "off",
            },
    });
    return watched(kernel, { isolation: options.isolation, work, sockets, base, memory, processes });
  } catch (error) {
    await rm(base, { recursive: true, force: true });
    throw error;
  }
}

interface Watched extends Sandbox {
  exceeded: string | undefined;
  memory: number;
  processes: number;
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
  },
): Sandbox {
  const { base, ...rest } = parts;
  let gone = false;
  void kernel.exited.then(() => {
    gone = true; // From now on its number may be another's.
    running.delete(sandbox);
  });
  const sandbox: Watched = {
    kernel,
    ...rest,
    exceeded: undefined,
    async end() {
      running.delete(sandbox);
      if (!gone) killTree(kernel.pid);
      await kernel.exited;
      kernel.close();
      await rm(base, { recursive: true, force: true, maxRetries: 5 }).catch(() => {});
    },
  };
  running.add(sandbox);
  timer ??= setInterval(watch, 250).unref();
  return sandbox;
}

/** Ends sandboxes whose processes use too much: where no cgroup can be had, looking is what limits. */
function watch(): void {
  if (running.size === 0) {
    clearInterval(timer);
    timer = undefined;
    return;
  }
  const table = processTable();
  const children = childrenIn(table);
  for (const sandbox of running) {
    const all = descendants(table, children, sandbox.kernel.pid);
    const megabytes = all.reduce((sum, pid) => sum + (table.get(pid)?.pages ?? 0), 0) / 256;
    const { memory, processes } = sandbox;
    if (megabytes > memory) sandbox.exceeded = `more than ${memory} MiB of memory`;
    if (all.length > processes) sandbox.exceeded = `more than ${processes} processes`;
    if (sandbox.exceeded) killTree(sandbox.kernel.pid);
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
