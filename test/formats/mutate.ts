// Feeds a reader damaged files: it must refuse them with its own kind of error, or read them; never crash, hang or fill the
// memory. Seeded, so that a finding comes again; SLIMLAB_FUZZ sets how many (CI takes a sample).
import assert from "node:assert/strict";
import { FormatError } from "../../lib/formats/index.ts";
import type { Graph } from "../../lib/graph/index.ts";
import { type Random, seeded } from "../../lib/util/random.ts";

const interesting = [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff];

/** One to four random changes: bits, bytes, numbers, cuts, copies. */
export function mutated(bytes: Uint8Array, random: Random): Uint8Array {
  let copy = bytes.slice();
  const int = (n: number) => Math.floor(random() * n);
  for (let change = 1 + int(4); change > 0 && copy.length > 0; change--) {
    // Headers are where structure is: half of all changes go there.
    const at = random() < 0.5 ? int(Math.min(copy.length, 512)) : int(copy.length);
    switch (int(7)) {
      case 0:
        copy[at] ^= 1 << int(8);
        break;
      case 1:
        copy[at] = interesting[int(interesting.length)];
        break;
      case 2:
        copy[at] = int(256);
        break;
      case 3:
        for (let i = at; i < Math.min(copy.length, at + 4); i++)
          copy[i] = interesting[int(interesting.length)];
        break;
      case 4:
        copy = copy.slice(0, at);
        break;
      case 5:
        copy.copyWithin(at, int(copy.length), int(copy.length));
        break;
      default: {
        const longer = new Uint8Array(copy.length + 1 + int(8));
        longer.set(copy.subarray(0, at));
        longer.set(copy.subarray(at), at + longer.length - copy.length);
        copy = longer;
      }
    }
  }
  return copy;
}

/**
 * Reads many damaged copies of a file.
 * @param read returns about how many bytes the result takes
 * @returns how many were read and how many refused
 */
export async function fuzz(
  bytes: Uint8Array,
  read: (bytes: Uint8Array) => Promise<number> | number,
  { count = Number(process.env.SLIMLAB_FUZZ ?? 2000), seed = 1 } = {},
): Promise<{ accepted: number; refused: number }> {
  const random = seeded(seed);
  let refused = 0;
  for (let i = 0; i < count; i++) {
    const file = mutated(bytes, random);
    const start = process.cpuUsage();
    try {
      const size = await read(file);
      assert.ok(
        size <= 10 * file.length + 4096,
        `mutation ${i}: ${size} bytes from a file of ${file.length}`,
      );
    } catch (error) {
      if (!(error instanceof FormatError)) throw new Error(`mutation ${i} of seed ${seed}`, { cause: error });
      assert.ok(
        error.message.length < 2000,
        `mutation ${i}: a message of ${error.message.length} characters`,
      );
      refused++;
    }
    const { user, system } = process.cpuUsage(start);
    // Of the processor, which a busy machine does not lengthen; what hangs without it ends by mocha's limit.
    assert.ok(user + system < 2e6, `mutation ${i} took ${(user + system) / 1e6} s`);
  }
  return { accepted: count - refused, refused };
}

/** Reads many damaged copies of a network's file; a good part of them must be refused. */
export async function fuzzNetworks(bytes: Uint8Array, read: (bytes: Uint8Array) => Graph): Promise<void> {
  const weights = ({ nodes }: Graph) =>
    nodes
      .flatMap(({ weights }) => Object.values(weights))
      .reduce((sum, { values }) => sum + values!.byteLength, 0);
  const { accepted, refused } = await fuzz(bytes, (damaged) => weights(read(damaged)));
  assert.ok(refused > 0.2 * (accepted + refused), `${refused} refused, ${accepted} read`);
}
