// What any worker of a site has: files that the site ships, and Node's Buffer.
import { Buffer } from "buffer";
import { files, type Shipped } from "./files.ts";

/** By paths in the package: put in by ../bundle.ts. */
declare const shippedFiles: Shipped;

const here = globalThis.location.href;
files.ship(
  Object.fromEntries(
    Object.entries(shippedFiles).map(([path, { url, size }]) => [
      path,
      { url: new URL(url, here).href, size },
    ]),
  ),
);

Object.defineProperty(globalThis, "Buffer", { value: Buffer, writable: true, configurable: true });
