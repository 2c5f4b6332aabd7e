/** How likely it is that chance alone brings so many. Supervisor; pure. Exact sums, by logarithms, so that small numbers are right as well. */

/** From here on Stirling's series is exact to 1e-12. */
const STIRLING_FROM = 16;

/** ln n! */
function logFactorial(n: number): number {
  if (n < STIRLING_FROM) {
    let sum = 0;
    for (let i = 2; i <= n; i += 1) sum += Math.log(i);
    return sum;
  }
  const tail = 1 / (12 * n) - 1 / (360 * n ** 3) + 1 / (1260 * n ** 5);
  return (n + 0.5) * Math.log(n) - n + 0.5 * Math.log(2 * Math.PI) + tail;
}

function logChoose(n: number, k: number): number {
  return logFactorial(n) - logFactorial(k) - logFactorial(n - k);
}

/** Of `tries` that each hit with `chance`, `hits` or more do. */
export function chanceOfHits(tries: number, hits: number, chance: number): number {
  let sum = 0;
  for (let k = hits; k <= tries; k += 1) {
    const term = Math.exp(logChoose(tries, k) + k * Math.log(chance) + (tries - k) * Math.log1p(-chance));
    sum += term;
    // Terms behind the mean only fall.
    if (term < sum * 1e-12 && k > tries * chance) break;
  }
  return Math.min(sum, 1);
}

/** `ofHits` of `ofAll` hit; `hits` or more of them are among `part` that are drawn out of all (Fisher's exact test, one-sided). */
export function chanceOfShare(part: number, hits: number, ofAll: number, ofHits: number): number {
  const all = logChoose(ofAll, part);
  let sum = 0;
  for (let k = Math.max(hits, part + ofHits - ofAll, 0); k <= Math.min(part, ofHits); k += 1) {
    const term = Math.exp(logChoose(ofHits, k) + logChoose(ofAll - ofHits, part - k) - all);
    sum += term;
    if (term < sum * 1e-12 && k > (part * ofHits) / ofAll) break;
  }
  return Math.min(sum, 1);
}
