// What the kernel tells of itself: `kernel_info_reply`.
import { versionOf } from "../../util/packages.ts";
import { slimlabVersion } from "../../util/version.ts";
import type { KernelInfo } from "../protocol/reference.ts";

type LanguageInfo = KernelInfo["language_info"];

function languageInfo(javascript: boolean): LanguageInfo {
  return javascript
    ? {
        name: "javascript",
        version: process.versions.node,
        mimetype: "text/javascript",
        file_extension: ".js",
        pygments_lexer: "javascript",
        codemirror_mode: "javascript",
        nbconvert_exporter: "script",
      }
    : {
        name: "typescript",
        version: versionOf("typescript"),
        mimetype: "text/typescript",
        file_extension: ".ts",
        pygments_lexer: "typescript",
        codemirror_mode: "typescript",
        nbconvert_exporter: "script",
      };
}

export function kernelInfo(javascript: boolean): KernelInfo {
  return {
    implementation: "slimlab",
    implementation_version: slimlabVersion,
    language_info: languageInfo(javascript),
    banner: `slimlab: ${javascript ? "JavaScript" : "TypeScript"} on Node.js ${process.versions.node}`,
    debugger: true,
    help_links: [
      { text: "TypeScript", url: "https://www.typescriptlang.org/docs/" },
      { text: "Node.js", url: "https://nodejs.org/docs/latest/api/" },
    ],
    supported_features: ["kernel subshells", "debugger"],
  };
}
