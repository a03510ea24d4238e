// Optimal prefix codes whose words are not longer than a limit: package-merge. Larmore and Hirschberg, "A fast
// algorithm for optimal length-limited Huffman codes", 1990.

interface Item {
  weight: number;
  /** The leaf's index, or the two items that were packaged. */
  content: number | [Item, Item];
}

/**
 * Code lengths under a limit. Think of coins: each symbol owns one coin of each of `limit` values 1/2, 1/4, ...; its
 * code length is how many of its coins are bought, when coins worth n - 1 are bought as cheaply as possible.
 *
 * @param weights rising, at least 2 and at most 2^limit of them
 * @returns the length for each weight
 */
export function packageMerge(weights: ArrayLike<number>, limit: number): Uint8Array {
  const leaves: Item[] = Array.from(weights, (weight, content) => ({ weight, content }));
  let list = leaves;
  for (let level = 1; level < limit; level++) {
    // Two coins of this value make a package worth one of the next; with the next value's own coins, in order.
    const merged: Item[] = [];
    let leaf = 0;
    for (let i = 0; i + 1 < list.length; i += 2) {
      const pack: Item = { weight: list[i].weight + list[i + 1].weight, content: [list[i], list[i + 1]] };
      while (leaf < leaves.length && leaves[leaf].weight <= pack.weight) merged.push(leaves[leaf++]);
      merged.push(pack);
    }
    while (leaf < leaves.length) merged.push(leaves[leaf++]);
    list = merged;
  }
  const lengths = new Uint8Array(leaves.length);
  const open = list.slice(0, 2 * leaves.length - 2);
  for (let item = open.pop(); item; item = open.pop()) {
    if (typeof item.content === "number") lengths[item.content]++;
    else open.push(...item.content);
  }
  return lengths;
}
