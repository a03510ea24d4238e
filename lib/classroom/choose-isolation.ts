// Which isolation is used: what was asked for, or the best that works here; never none without being told so.
import { checkOneOf } from "../util/check.ts";
import { bubblewrapState } from "./bubblewrap.ts";
import { scopeState } from "./cgroup.ts";
import { containerState } from "./container.ts";
import { type Isolation, isolations, type State } from "./isolation.ts";

/** What a person has asked for. */
export interface IsolationWish {
  isolation?: string;
  image?: string;
  unsafe?: boolean;
}

const real = isolations.filter((one) => one !== "none");

const promises: Record<(typeof real)[number], string> = {
  bubblewrap: "no network, private folders, product read-only",
  podman: "a container each, no network, product read-only",
  docker: "a container each, no network, product read-only",
};

/**
 * Chooses, and says what was chosen.
 *
 * @throws Error where nothing works and `unsafe` is not given, or what was asked for does not work
 */
export function chooseIsolation(
  { isolation, image, unsafe = false }: IsolationWish,
  say: (line: string) => void,
): Isolation {
  const wanted =
    isolation === undefined ? real : [checkOneOf("--isolation", isolation as (typeof real)[number], real)];
  const reasons: string[] = [];
  for (const one of wanted) {
    const { works, reason } = stateOf(one, image);
    if (works) {
      say(`isolation: ${one} (${promises[one]}); memory and processes: ${limitsBy(one)}`);
      return one;
    }
    reasons.push(reason);
  }
  const why = reasons.join("; ");
  if (!unsafe) {
    throw new Error(
      `students' code is not run without a sandbox: ${why}. In a virtual machine that you can lose, --unsafe runs it all the same`,
    );
  }
  say(
    `WARNING: no isolation (${why}). Students' code can read, change and send all that you can, other students' work too.`,
  );
  return "none";
}

function stateOf(one: (typeof real)[number], image: string | undefined): State {
  return one === "bubblewrap" ? bubblewrapState() : containerState(one, image);
}

function limitsBy(one: (typeof real)[number]): string {
  if (one !== "bubblewrap") return `limited by ${one}`;
  const { works, reason } = scopeState();
  return works
    ? "limited by control groups (systemd-run)"
    : `looked at four times a second (no control groups: ${reason})`;
}
