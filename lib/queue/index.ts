// A queue on Redis: work for any number of machines. Whoever asks has a Sender, whoever works serves.
export { passwordVariable, queueAddress } from "./address.ts";
export { QueueLostError, Sender, type SenderOptions } from "./sender.ts";
export { type Desk, type Desks, type ServeOptions, serve } from "./worker.ts";
