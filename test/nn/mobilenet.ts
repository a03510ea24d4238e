// A network that people really have, and pictures for it: nsfwjs's MobileNetV2 (npm, MIT; 2.6 million parameters, images
// of 224 x 224, five classes) and crops of the pictures in PyPI's scikit-image. Neither is a dependency: both are fetched
// into the cache once. `node dist/test/nn/mobilenet.js` does only that, and says where they are.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { cacheFolder, type Split } from "../../lib/datasets/index.ts";
import { packageRoot, writeFileAtomic } from "../../lib/util/files.ts";
import { pythonWith } from "../python.ts";

const nsfwjs = {
  name: "nsfwjs@4.4.0",
  integrity: "krC1fgeTLXtZwgdpKJ0jm7hqv0gTSRQQRL+FhOaxaJ9Wj92t42BO3csO2odwgTAgZgf2RvkwPtp0R8Aa7dc+MA==",
  models: "package/dist/models",
};

/** Its networks that tests use: a layers model of 2.6 million parameters, and a graph model of 1.4 million. */
const models = { mobilenet_v2: 1, mobilenet_v2_mid: 2 } as const;
const side = 224;
const pictureBytes = side * side * 3;

/** Pictures without labels: which no one here looks at, so all are 0. */
export interface Pictures {
  /** 24 crops, two of each of twelve pictures. */
  held: Split;
  /** 36 crops of other parts of the same pictures. */
  calibration: Split;
}

/** The folder of MobileNetV2's model.json; undefined, with a line that says why, where npm cannot get it. */
export async function mobilenetFolder(
  model: keyof typeof models = "mobilenet_v2",
): Promise<string | undefined> {
  const own = model === "mobilenet_v2" ? "" : `-${model}`;
  const folder = join(cacheFolder(), "tests", nsfwjs.name.replace("@", "-") + own);
  // Written last.
  if (existsSync(join(folder, "model.json"))) return folder;
  const scratch = await mkdtemp(join(tmpdir(), "slimlab-nsfwjs-"));
  try {
    await unpack(scratch, `${nsfwjs.models}/${model}`);
    const require = createRequire(pathToFileURL(join(scratch, "here.cjs")));
    // The package keeps its files as scripts: JSON as an object, and weights in base64.
    const read = async (file: string) => {
      await copyFile(join(scratch, nsfwjs.models, model, `${file}.min.js`), join(scratch, `${file}.cjs`));
      return require(`./${file}.cjs`);
    };
    const json = await read("model");
    const [group] = json.weightsManifest;
    group.paths = ["weights.bin"];
    const count = models[model];
    const shards: Buffer[] = [];
    for (let i = 1; i <= count; i++)
      shards.push(Buffer.from(await read(`group1-shard${i}of${count}`), "base64"));
    await writeFileAtomic(join(folder, "weights.bin"), Buffer.concat(shards));
    await writeFileAtomic(join(folder, "model.json"), JSON.stringify(json));
    return folder;
  } catch (error) {
    return missing(`${nsfwjs.name} from npm (${(error as Error).message})`);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Fetches the package by npm's own client and takes it apart, if it is the one that is wanted. */
async function unpack(folder: string, part: string): Promise<void> {
  const packed = spawnSync(
    "npm",
    ["pack", nsfwjs.name, "--silent", "--ignore-scripts", "--pack-destination", "."],
    {
      cwd: folder,
      encoding: "utf8",
      shell: process.platform === "win32",
    },
  );
  if (packed.status !== 0)
    throw new Error(`npm pack: ${packed.stderr?.trim() || packed.error?.message || packed.status}`);
  const file = packed.stdout.trim().split("\n").at(-1)!;
  const found = createHash("sha512")
    .update(await readFile(join(folder, file)))
    .digest("base64");
  if (found !== nsfwjs.integrity) throw new Error(`its SHA-512 must be ${nsfwjs.integrity}, got ${found}`);
  const tar = spawnSync("tar", ["-xzf", file, part], { cwd: folder, encoding: "utf8" });
  if (tar.status !== 0) throw new Error(`tar: ${tar.stderr?.trim() || tar.error?.message}`);
}

/** The folder of held.rgb and calibration.rgb; undefined, with a line that says why, where Python or scikit-image is missing. */
export async function pictureFolder(): Promise<string | undefined> {
  const script = join(packageRoot, "test", "nn", "pictures.py");
  // A changed script makes other pictures.
  const name = createHash("sha256")
    .update(await readFile(script))
    .digest("hex");
  const folder = join(cacheFolder(), "tests", `pictures-${name.slice(0, 16)}`);
  if (!existsSync(join(folder, "held.rgb"))) {
    const python = pythonWith("test/nn/requirements.txt", "skimage", "PIL");
    if (python === undefined) return undefined;
    const scratch = await mkdtemp(join(tmpdir(), "slimlab-pictures-"));
    try {
      const made = spawnSync(python, [script, scratch], { encoding: "utf8" });
      if (made.status !== 0) throw new Error(`pictures.py failed: ${made.stderr}`);
      await mkdir(folder, { recursive: true });
      for (const part of ["calibration", "held"])
        await writeFileAtomic(join(folder, `${part}.rgb`), await readFile(join(scratch, `${part}.rgb`)));
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  }
  return folder;
}

/** The pictures, where {@link pictureFolder} is. */
export async function pictures(): Promise<Pictures | undefined> {
  const folder = await pictureFolder();
  if (folder === undefined) return undefined;
  const [held, calibration] = await Promise.all(
    ["held", "calibration"].map(async (part) => splitOf(await readFile(join(folder, `${part}.rgb`)))),
  );
  return { held, calibration };
}

function splitOf(bytes: Buffer): Split {
  const count = bytes.length / pictureBytes;
  const images = new Uint8Array(bytes);
  return { images, labels: new Uint8Array(count), count, height: side, width: side, channels: 3 };
}

function missing(what: string): undefined {
  if (process.env.CI) throw new Error(`CI must have ${what}`);
  console.log(`      missing: ${what}`);
}

if (process.argv[1] === import.meta.filename) {
  console.log(await mobilenetFolder());
  const found = await pictures();
  if (found) console.log(`${found.held.count} held-out pictures, ${found.calibration.count} for calibration`);
}
