// A step of the build: tfjs.ts as one CommonJS file for Node. The parts of TensorFlow.js stay packages, so that danfojs
// and a cell's own imports get the same instance; what Node cannot load of tfjs-core, as it has no file names in its
// imports, is bundled, as in TensorFlow.js's own umbrella package. Both copies share the engine, which is global.
//
// Modules take it by tfjs.mjs, which lists its names: Node would read all of TensorFlow.js for them, half of the time that
// `slimlab/nn` needs to load. Bundlers, which do not see through that file, have the condition `module` and take this one.
import { statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const folder = fileURLToPath(new URL(".", import.meta.url));

// Beside this module and tfjs.ts it depends on TensorFlow.js alone, whose package is replaced as a whole.
const time = (file: string) =>
  statSync(new URL(file, import.meta.url), { throwIfNoEntry: false })?.mtimeMs ?? 0;
const core = import.meta.resolve("@tensorflow/tfjs-core/package.json");

if (
  Math.min(time("tfjs.cjs"), time("tfjs.mjs")) <
  Math.max(time("tfjs.js"), time("tfjs-bundle.js"), statSync(new URL(core)).ctimeMs)
) {
  await build({
    absWorkingDir: folder,
    entryPoints: ["tfjs.js"],
    outfile: "tfjs.cjs",
    bundle: true,
    platform: "node",
    mainFields: ["module", "main"],
    format: "cjs",
    target: "node20.19",
    minifyWhitespace: true,
    legalComments: "eof",
    logLevel: "warning",
    plugins: [
      {
        name: "parts of TensorFlow.js stay packages",
        setup: (build) =>
          build.onResolve({ filter: /^@tensorflow\/tfjs-[a-z-]+$/ }, ({ path }) => ({
            path,
            external: true,
          })),
      },
    ],
  });
  const names = Object.keys(createRequire(import.meta.url)("./tfjs.cjs"));
  writeFileSync(
    new URL("tfjs.mjs", import.meta.url),
    `import { createRequire } from "node:module";
export const { ${names.join(", ")} } = createRequire(import.meta.url)("./tfjs.cjs");
`,
  );
}
