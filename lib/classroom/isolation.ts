// The words of isolation: how a student's process is kept apart, what it may use, and whether that works here.

/** How a student's process is kept apart. */
export const isolations = ["bubblewrap", "podman", "docker", "none"] as const;
export type Isolation = (typeof isolations)[number];

/** Programs that make containers. */
export type Engine = Extract<Isolation, "podman" | "docker">;

/** Whether something works on this machine, and if not, why. */
export interface State {
  works: boolean;
  reason: string;
}

/** What a student's processes may use. */
export interface Limits {
  /** MiB of memory, all processes together. Default 4096. */
  memory?: number;
  /** Processes at a time. Default 64. */
  processes?: number;
  /** MiB of a single file. Default 256. */
  fileSize?: number;
  /** MiB of files, all together. Default 1024. */
  disk?: number;
}
