// Before the package is made: what checks types on a page, so that whoever installs it needs no second TypeScript.
import { siteRooms } from "./bundle.ts";
import { packTypes } from "./types.ts";

await packTypes(siteRooms);
