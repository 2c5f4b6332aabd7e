/**
 * How small a chance has to be where many are looked at. Pure. `chances` are, by tag, those of its percentiles, that noise alone
 * makes a difference as large as the one seen.
 *
 * The percentiles of a tag rise and fall together, so a tag counts with Simes' chance of all of them, which costs nothing when all
 * of them moved; the tags are then held to one level by Holm's method. `level` is the chance that any tag of two equal runs is said
 * to differ. Within a tag that differs, percentiles are taken by the rule that found it (Benjamini and Hochberg).
 */

/** For each tag the largest chance that is beyond noise; -1 if none is. */
export function noiseLimits(chances: readonly (readonly number[])[], level: number): number[] {
  const limits = chances.map(() => -1);
  const tags = chances.map((ofTag, tag) => ({ tag, chance: simes(ofTag) })).filter(({ tag }) => chances[tag]?.length);
  tags.sort((one, other) => one.chance - other.chance);
  for (const [i, { tag, chance }] of tags.entries()) {
    const tagLevel = level / (tags.length - i);
    if (chance > tagLevel) break;
    limits[tag] = stepUp(chances[tag] ?? [], tagLevel);
  }
  return limits;
}

function simes(chances: readonly number[]): number {
  return Math.min(1, ...ascending(chances).map((chance, i) => (chance * chances.length) / (i + 1)));
}

function stepUp(chances: readonly number[], level: number): number {
  return ascending(chances).findLast((chance, i) => (chance * chances.length) / (i + 1) <= level) ?? -1;
}

function ascending(values: readonly number[]): number[] {
  return values.toSorted((one, other) => one - other);
}
