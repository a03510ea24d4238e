// Bubblewrap around a process: the product is read-only there, home and temporary folders are private, there is no network,
// other processes cannot be seen.
import { spawnSync } from "node:child_process";
import { existsSync, lstatSync, readdirSync, readlinkSync, realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { packageRoot } from "../util/files.ts";
import type { State } from "./isolation.ts";

let bubblewrap: State | undefined;

/** Whether bubblewrap isolates here, and if not, why. Asked once. */
export function bubblewrapState(): State {
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
export function confinement(): string[] {
  const args = ["--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"];
  args.push("--hostname", "sandbox", "--proc", "/proc", "--dev", "/dev", "--ro-bind", "/usr", "/usr");
  // Without a size of their own, these may take half of the memory.
  args.push("--size", String(64 * 1024 * 1024), "--tmpfs", "/dev/shm", "--remount-ro", "/dev");
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
export function productFolders(): string[] {
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
