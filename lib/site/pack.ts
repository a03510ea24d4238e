// Before the package is made: what checks types on a page, so that whoever installs it needs no second TypeScript, and the
// API reference, so that he needs no TypeDoc.
import { referencePages } from "../book/reference/pages.ts";
import { siteRooms } from "./bundle.ts";
import { packTypes } from "./types.ts";

await packTypes(siteRooms);
await referencePages();
