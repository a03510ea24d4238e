// A container around a process, by podman or docker: any image with a C library will do, for Node and the product come from
// this machine, read-only and under the paths that they have here.
import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFileSync, realpathSync } from "node:fs";
import { productFolders } from "./bubblewrap.ts";
import type { Engine, Limits, State } from "./isolation.ts";

/** What containers are made of where nothing else is asked for. */
export const defaultImage = "docker.io/library/debian:stable-slim";

const label = "slimlab.sandbox";
const states = new Map<string, State>();

/** Threads that a process of Node may have: what an engine limits is threads. */
const threadsEach = 16;

/** This process's own limit of something, as an engine takes it. */
function ownLimit(what: "open files" | "processes"): string {
  const limits = readFileSync("/proc/self/limits", "utf8");
  const [, hard = "1024"] = new RegExp(`^Max ${what}\\s+\\S+\\s+(\\S+)`, "m").exec(limits) ?? [];
  const number = Math.min(hard === "unlimited" ? Number.POSITIVE_INFINITY : Number(hard), 16_384);
  return `${number}:${number}`;
}

/** The command line that runs a program in a container of this name; the folders are what it may write to. */
export function containerArguments(
  engine: Engine,
  image: string,
  name: string,
  folders: string[],
  { memory = 4096, processes = 64, fileSize = 256 }: Limits = {},
): string[] {
  const [user, group] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
  const args = [engine, "run", "--name", name, "--label", label];
  args.push("--pull", "never", "--network", "none", "--hostname", "sandbox", "--read-only");
  args.push("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", `${user}:${group}`);
  if (engine === "podman") {
    // A rootless engine maps users: who grades must be himself inside, for the folders are his.
    if (user !== 0) args.push("--userns", "keep-id");
    // Without a daemon it can ask for no more than there is here.
    args.push("--ulimit", `nofile=${ownLimit("open files")}`, "--ulimit", `nproc=${ownLimit("processes")}`);
  }
  args.push("--memory", `${memory}m`, "--memory-swap", `${memory}m`);
  args.push("--pids-limit", String(processes * threadsEach));
  args.push("--ulimit", "core=0", "--ulimit", `fsize=${fileSize * 1024 * 1024}`);
  args.push("--tmpfs", "/tmp:rw,size=512m,mode=1777");
  const env = { HOME: "/tmp", TMPDIR: "/tmp", LANG: "C.UTF-8", TZ: "UTC", SLIMLAB_COMPLETION: "off" };
  for (const [key, value] of Object.entries(env)) args.push("--env", `${key}=${value}`);
  const node = new Set([process.execPath, realpathSync(process.execPath)]);
  for (const path of [...node, ...productFolders()]) args.push("--volume", `${path}:${path}:ro`);
  for (const path of folders) args.push("--volume", `${path}:${path}:rw`);
  if (folders.length > 0) args.push("--workdir", folders[0]);
  // A shell is the first process: it takes in orphans, and a program that ends itself ends as elsewhere.
  return [...args, image, "/bin/sh", "-c", '"$@" & wait $!', "sh"];
}

/** Whether an engine can run Node in a container of this image. Asked once; what graders that died left behind goes first. */
export function containerState(engine: Engine, image = defaultImage): State {
  const key = `${engine} ${image}`;
  const known = states.get(key);
  if (known) return known;
  const state = tryContainer(engine, image);
  states.set(key, state);
  return state;
}

function tryContainer(engine: Engine, image: string): State {
  const there = call(engine, ["image", "inspect", image], 20_000);
  if (there.missing) return { works: false, reason: `${engine} is not installed` };
  if (!there.ok) {
    const reason = /no such image|not known|not found/i.test(there.said)
      ? `the image ${image} is not here (${engine} pull ${image})`
      : firstLine(there.said);
    return { works: false, reason: `${engine}: ${reason}` };
  }
  removeLeftOver(engine);
  const name = containerName();
  const [program, ...args] = containerArguments(engine, image, name, []);
  const tried = call(program, [...args, process.execPath, "--version"], 60_000);
  removeContainer(engine, name);
  return tried.ok
    ? { works: true, reason: "" }
    : { works: false, reason: `${engine}: ${firstLine(tried.said)}` };
}

const firstLine = (text: string) => text.trim().split("\n")[0].slice(0, 300) || "it does not work here";

function call(program: string, args: string[], timeout: number) {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: "utf8", timeout });
  return {
    ok: status === 0,
    missing: (error as NodeJS.ErrnoException | undefined)?.code === "ENOENT",
    said: stderr || error?.message || stdout || "",
    stdout: stdout ?? "",
  };
}

/** Whether a container was ended because it used too much memory. */
export function ranOutOfMemory(engine: Engine, name: string): boolean {
  return call(engine, ["inspect", "--format", "{{.State.OOMKilled}}", name], 10_000).stdout.trim() === "true";
}

/** Ends a container with all that runs in it. */
export function removeContainer(engine: Engine, name: string): void {
  call(engine, ["rm", "--force", name], 30_000);
}

/** A name for a container, from which its grader is known. */
export function containerName(): string {
  return `slimlab-${process.pid}-${randomUUID()}`;
}

/** A grader that was killed could not end its containers. */
function removeLeftOver(engine: Engine): void {
  const args = ["ps", "--all", "--filter", `label=${label}`, "--format", "{{.Names}}"];
  for (const name of call(engine, args, 20_000).stdout.split("\n")) {
    const grader = Number(/^slimlab-(\d+)-/.exec(name)?.[1]);
    if (!(grader > 0)) continue;
    try {
      process.kill(grader, 0);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ESRCH") removeContainer(engine, name);
    }
  }
}
