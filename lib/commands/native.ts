// `slimlab native`: brings, checks or removes the native TensorFlow backend.
import { parseArgs } from "node:util";
import { checkNative, findTfjsNode, installNative, removeNative, wheel } from "../install/native.ts";

const help = `Usage: slimlab native [--check | --remove] [--wheel FILE]

Brings the native TensorFlow backend, which trains several times faster than WASM:
the official binary, and where its host does not answer, a build against the
libtensorflow of PyPI's ${wheel.requirement} (Linux x64; needs Python with pip and a C++ compiler).

  --check       say whether the native backend works, and change nothing
  --remove      take it out again
  --wheel FILE  use this wheel, fetched elsewhere, and no network`;

/** The command. */
export async function run(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      check: { type: "boolean" },
      remove: { type: "boolean" },
      wheel: { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) {
    console.log(help);
    return 0;
  }
  const tfjsNode = findTfjsNode();
  if (values.remove) {
    console.log(
      (await removeNative(tfjsNode))
        ? "The native backend was removed; slimlab runs on WASM."
        : "There was no native backend to remove.",
    );
    return 0;
  }
  const before = await checkNative(tfjsNode);
  if (before.works) {
    console.log(`The native backend works (libtensorflow ${before.version}).`);
    return 0;
  }
  if (values.check) {
    console.log(`The native backend does not work: ${before.reason}`);
    return 1;
  }
  const start = performance.now();
  const { version } = await installNative({ tfjsNode, wheel: values.wheel });
  const seconds = ((performance.now() - start) / 1000).toFixed(0);
  console.log(
    `The native backend works (libtensorflow ${version}, brought in ${seconds} s). slimlab uses it from now on.`,
  );
  return 0;
}
