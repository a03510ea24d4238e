// The kernel's public face: its client. What a cell calls (`display` and its like) is global there.
export * from "./client.ts";
