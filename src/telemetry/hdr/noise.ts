/**
 * Whether the mean of one group of measurements differs from that of another by more than noise. Pure.
 *
 * Each run has rounds, each round the same number of blocks: neighbours in time are alike, so blocks of one round are no independent
 * witnesses; rounds, minutes apart, nearly are. The noise is therefore taken from the differences between rounds. Three rounds
 * know it badly (four degrees of freedom for two runs), so it is drawn towards what the blocks within the rounds suggest:
 * PRIOR_FACTOR times their variance, with the weight of up to PRIOR_FREEDOM further degrees. Then a t test.
 */

/** Between rounds there is more noise than the blocks within them show. */
const PRIOR_FACTOR = 3;
const PRIOR_FREEDOM = 2;
/**
 * Rounds whose distance from the median is more than this many times the usual one are moved there: a machine that had a bad
 * quarter of a minute must not hide or make a change.
 */
const OUTLIER = 5;

/** Rounds of blocks; every round of both runs has the same number of blocks. */
export type Rounds = readonly (readonly number[])[];

export interface Difference {
  /** Mean of the second less mean of the first. */
  readonly mean: number;
  /** Variance of that difference, and how many independent deviations it was estimated from; 0: not at all. */
  readonly variance: number;
  readonly freedom: number;
}

export function differenceOf(first: Rounds, second: Rounds, varianceMin: number): Difference {
  const [a, b] = steadied(first, second, varianceMin).map(spreadOf);
  if (a === undefined || b === undefined) throw new Error("two runs have two spreads");
  const betweenFreedom = a.betweenFreedom + b.betweenFreedom;
  const withinFreedom = a.withinFreedom + b.withinFreedom;
  const within = withinFreedom === 0 ? 0 : (a.withinSquares + b.withinSquares) / withinFreedom;
  const priorFreedom = Math.min(PRIOR_FREEDOM, withinFreedom);
  const freedom = betweenFreedom + priorFreedom;
  const squares = a.betweenSquares + b.betweenSquares + priorFreedom * PRIOR_FACTOR * within;
  const perBlock = Math.max(freedom === 0 ? 0 : squares / freedom, within, varianceMin);
  const isKnown = betweenFreedom > 0;
  return { mean: b.mean - a.mean, variance: perBlock * (1 / a.blocks + 1 / b.blocks), freedom: isKnown ? freedom : 0 };
}

/** Both runs, with rounds that are far from the others moved to the edge of what is usual. */
function steadied(first: Rounds, second: Rounds, varianceMin: number): Rounds[] {
  const runs = [first, second].map((rounds) => ({ rounds, means: rounds.map(meanOf) }));
  const usual = Math.max(...runs.map(({ means }) => lowerMedian(deviations(means))));
  const limit = OUTLIER * Math.max(usual, Math.sqrt(varianceMin));
  return runs.map(({ rounds, means }) => {
    const middle = lowerMedian(means);
    return rounds.map((round) => {
      const far = meanOf(round) - middle;
      const moved = Math.max(-limit, Math.min(limit, far)) - far;
      return round.map((value) => value + moved);
    });
  });
}

/** From the median, which is left out. */
function deviations(values: readonly number[]): number[] {
  const middle = lowerMedian(values);
  const distances = values.map((value) => Math.abs(value - middle));
  return ascending(distances).slice(1);
}

function lowerMedian(values: readonly number[]): number {
  return ascending(values)[Math.floor((values.length - 1) / 2)] ?? 0;
}

function ascending(values: readonly number[]): number[] {
  return values.toSorted((one, other) => one - other);
}

interface Spread {
  readonly mean: number;
  readonly blocks: number;
  readonly betweenSquares: number;
  readonly betweenFreedom: number;
  readonly withinSquares: number;
  readonly withinFreedom: number;
}

function spreadOf(rounds: Rounds): Spread {
  const means = rounds.map(meanOf);
  const mean = meanOf(means);
  const blocks = rounds.flat().length;
  const perRound = blocks / rounds.length;
  return {
    mean,
    blocks,
    betweenSquares: perRound * squaresOf(means, mean),
    betweenFreedom: rounds.length - 1,
    withinSquares: sumOf(rounds.map((round, i) => squaresOf(round, means[i] ?? mean))),
    withinFreedom: blocks - rounds.length,
  };
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

function meanOf(values: readonly number[]): number {
  return sumOf(values) / values.length;
}

function squaresOf(values: readonly number[], mean: number): number {
  return sumOf(values.map((value) => (value - mean) ** 2));
}

/** Chance that a difference at least as large, in either direction, is noise. 1 if the noise is unknown. */
export function chanceOfNoise({ mean, variance, freedom }: Difference): number {
  if (freedom === 0) return 1;
  return studentTails(Math.abs(mean) / Math.sqrt(variance), freedom);
}

/** Two-sided tail of Student's t for whole degrees of freedom: Abramowitz and Stegun 26.7.3 and 26.7.4. */
export function studentTails(t: number, freedom: number): number {
  const angle = Math.atan(t / Math.sqrt(freedom));
  const [sine, cosine] = [Math.sin(angle), Math.cos(angle)];
  const isOdd = freedom % 2 === 1;
  let term = isOdd ? cosine : 1;
  let series = freedom === 1 ? 0 : term;
  for (let k = isOdd ? 3 : 2; k < freedom; k += 2) {
    term *= ((k - 1) / k) * cosine * cosine;
    series += term;
  }
  const inside = isOdd ? (2 / Math.PI) * (angle + sine * series) : sine * series;
  return Math.max(0, 1 - inside);
}
