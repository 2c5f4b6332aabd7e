/**
 * Compares two runs, percentile by percentile, and says which differences are more than the noise that the runs show in
 * themselves. Pure. For `sluice hdr diff` and for the benchmarks.
 *
 * A difference is a change if all of these hold:
 * - at least TAIL_VALUES_MIN values of both runs lie beyond the percentile; the largest value is never judged;
 * - it is larger than `relativeMin` and larger than `absoluteMinNs`, in the percentiles of the whole runs;
 * - it is beyond noise (noise.ts), at FALSE_ALARMS for the whole comparison, however many tags and percentiles it has
 *   (false-alarms.ts);
 * - with a control (a contestant whose code is the same in both runs, such as nginx, or the provider called directly): it is that
 *   also after the control's own change was taken off. What slows everything down is the machine.
 *
 * Tried on simulated runs (test/support/noisy-run.ts: four scenarios, rounds of 2 s whose speed differs by 6 %, runs by 3 %, slow
 * half seconds): of 200 pairs of the same, 1 differed with three rounds and none with five; 200 us more on 300 to 450 us were
 * found in 191 of 200 pairs with three rounds, in all 200 with five. Where a round of five is three times slower at random
 * (one in twenty), 1 of 200 differed and 198 of 200 were found.
 */
import { noiseLimits } from "./false-alarms.ts";
import { chanceOfNoise, type Difference, differenceOf } from "./noise.ts";
import { groupsOf, mergedSegment, type Recording, type Segment, type Track } from "./recording.ts";

/** In percent. */
export const PERCENTILES: readonly number[] = [50, 75, 90, 95, 99, 99.9, 99.99, 99.999];
export const MAX = 100;
/** Chance that two runs of the same are said to differ in any percentile of any tag. */
const FALSE_ALARMS = 0.01;
const TAIL_VALUES_MIN = 10;
/** Blocks of a round have at least so many values beyond the percentile. */
const TAIL_VALUES_PER_BLOCK = 5;
const BLOCKS_MAX = 4;
/** More rounds are put together to so many. */
const ROUNDS_MAX = 12;
/** A run of one long stretch is as good as rounds that are so far apart, milliseconds. */
const ROUND_MS = 30_000;
/**
 * What a run cannot know of itself: how far the next run of the same is from it, as a share. Assumed; with a control it is
 * measured, and a run without rounds knows it worst.
 */
const RUN_DEVIATION = 0.02;
const ONE_ROUND_DEVIATION = 0.1;
/** Of the logarithm of a value: what cutting values into parts of 0.1 % does to it. */
const DEVIATION_MIN = 0.0005;

/**
 * few: too few values to say. unknown: no noise to measure it by, as the runs have one interval each. max: the largest value, never
 * judged. control: a control, which is what others are judged by.
 */
export type Verdict = "same" | "worse" | "better" | "few" | "unknown" | "max" | "control";

export interface Change {
  /** MAX for the largest value. */
  readonly percentile: number;
  readonly firstNs: number;
  readonly secondNs: number;
  /** Chance that noise alone makes a difference like this one; 1 where nothing is judged. */
  readonly chance: number;
  readonly verdict: Verdict;
}

export interface TagComparison {
  readonly tag: string;
  readonly firstCount: number;
  readonly secondCount: number;
  /** Rounds of both runs. */
  readonly rounds: readonly [number, number];
  readonly changes: readonly Change[];
}

export interface ComparisonOptions {
  /** 0.05: five percent. */
  readonly relativeMin: number;
  readonly absoluteMinNs: number;
  /** The tag whose change is the machine's, of a tag; undefined if there is none. */
  readonly controlOf: (tag: string) => string | undefined;
}

export const COMPARISON_DEFAULTS: ComparisonOptions = {
  relativeMin: 0.05,
  absoluteMinNs: 20_000,
  controlOf: (tag) => controlTag(tag, "direct"),
};

/** Of scenario/contestant/metric, the tag of the contestant `control`; of the control itself, none. */
export function controlTag(tag: string, control: string): string | undefined {
  const [scenario, contestant, metric, ...more] = tag.split("/");
  if (metric === undefined || more.length > 0 || contestant === control) return undefined;
  return `${scenario}/${control}/${metric}`;
}

/** Tags that both runs have, in the order of the first. */
export function compare(first: Recording, second: Recording, options: ComparisonOptions): TagComparison[] {
  const pairs = [...first.tracks].flatMap(([tag, a]): Pair[] => {
    const b = second.tracks.get(tag);
    return b === undefined ? [] : [{ tag, a, b }];
  });
  const byTag = new Map(pairs.map((pair) => [pair.tag, pair]));
  const controls = new Set(pairs.map(({ tag }) => options.controlOf(tag)));
  const drafts = pairs.map((pair) => {
    const drawn = draftsOf(pair, byTag.get(options.controlOf(pair.tag) ?? ""), options);
    return controls.has(pair.tag) ? drawn.map(asControl) : drawn;
  });
  const limits = noiseLimits(
    drafts.map((ofTag) => ofTag.filter(({ unjudged }) => unjudged === null).map(({ chance }) => chance)),
    FALSE_ALARMS,
  );
  return pairs.map(({ tag, a, b }, i) => ({
    tag,
    firstCount: a.sum.totalCount,
    secondCount: b.sum.totalCount,
    rounds: [a.rounds.length, b.rounds.length],
    changes: (drafts[i] ?? []).map((draft) => changeOf(draft, limits[i] ?? -1)),
  }));
}

interface Pair {
  readonly tag: string;
  readonly a: Track;
  readonly b: Track;
}

interface Draft {
  readonly percentile: number;
  readonly firstNs: number;
  readonly secondNs: number;
  readonly chance: number;
  /** Set where nothing is to be judged. */
  readonly unjudged: Verdict | null;
  readonly isLarge: boolean;
}

function asControl(draft: Draft): Draft {
  return { ...draft, unjudged: draft.unjudged ?? "control" };
}

function draftsOf(pair: Pair, control: Pair | undefined, options: ComparisonOptions): Draft[] {
  const judged = PERCENTILES.map((percentile) => draftOf(pair, control, percentile, options));
  const [firstNs, secondNs] = [pair.a.sum.maxValue, pair.b.sum.maxValue];
  return [...judged, { percentile: MAX, firstNs, secondNs, chance: 1, unjudged: "max", isLarge: false }];
}

function draftOf(pair: Pair, control: Pair | undefined, percentile: number, options: ComparisonOptions): Draft {
  const [firstNs, secondNs] = [valueAt(pair.a, percentile), valueAt(pair.b, percentile)];
  const figures = { percentile, firstNs, secondNs, chance: 1, isLarge: false };
  if (!hasTail(pair, percentile)) return { ...figures, unjudged: "few" };
  const hasControl = control !== undefined && hasTail(control, percentile);
  const raw = differenceAt(pair, percentile, hasControl ? 0 : RUN_DEVIATION);
  if (raw.freedom === 0) return { ...figures, unjudged: "unknown" };
  const left = hasControl ? without(raw, differenceAt(control, percentile, 0)) : raw;
  return {
    ...figures,
    chance: Math.max(chanceOfNoise(raw), chanceOfNoise(left)),
    unjudged: null,
    isLarge: areLarge([logOf(secondNs) - logOf(firstNs), raw.mean, left.mean], firstNs, options),
  };
}

function valueAt({ sum }: Track, percentile: number): number {
  return sum.getValueAtPercentile(percentile);
}

function hasTail({ a, b }: Pair, percentile: number): boolean {
  return tailOf(Math.min(a.sum.totalCount, b.sum.totalCount), percentile) >= TAIL_VALUES_MIN;
}

/** How many of `count` values are beyond the percentile. 100 - 99.9 is not quite 0.1. */
function tailOf(count: number, percentile: number): number {
  return Math.round(count * (100 - percentile) * 1e6) / 1e8;
}

/** What is left of a difference after that of the control; of unknown noise if either is. */
function without(raw: Difference, control: Difference): Difference {
  const variance = raw.variance + control.variance;
  return { mean: raw.mean - control.mean, variance, freedom: Math.min(raw.freedom, control.freedom) };
}

/** Differences of logarithms that agree in their direction and are all of a size that matters. */
function areLarge(differences: readonly number[], firstNs: number, options: ComparisonOptions): boolean {
  const shares = differences.map((difference) => Math.exp(difference) - 1);
  const isLarge = (share: number) => share >= options.relativeMin && share * firstNs >= options.absoluteMinNs;
  return shares.every(isLarge) || shares.every((share) => isLarge(-share));
}

/** Of the logarithms of the percentile in blocks of each round. */
function differenceAt({ a, b }: Pair, percentile: number, runDeviation: number): Difference {
  const rounds = [roundsOf(a), roundsOf(b)];
  const blocks = Math.min(...rounds.flat().map((round) => blocksIn(round, percentile)));
  const [first = [], second = []] = rounds.map((run) =>
    run.map((round) => groupsOf(round, blocks).map((group) => logOf(percentileIn(mergedSegment(group), percentile)))),
  );
  const difference = differenceOf(first, second, DEVIATION_MIN ** 2);
  const isOneRound = [a, b].some((track) => track.rounds.length === 1 && partsOf(track) < 2);
  const deviation = isOneRound ? ONE_ROUND_DEVIATION : runDeviation;
  return { ...difference, variance: difference.variance + 2 * deviation ** 2 };
}

/** A run of one stretch has its parts as rounds: long ones if it is long. */
function roundsOf(track: Track): Segment[][] {
  const [only, second] = track.rounds;
  if (only === undefined || second !== undefined) {
    return groupsOf(track.rounds, Math.min(ROUNDS_MAX, track.rounds.length)).map((group) => group.flat());
  }
  const parts = partsOf(track);
  return groupsOf(only, Math.min(parts < 2 ? ROUNDS_MAX : parts, only.length));
}

function partsOf({ startMs, endMs }: Track): number {
  return Math.min(ROUNDS_MAX, Math.floor((endMs - startMs) / ROUND_MS));
}

function blocksIn(round: readonly Segment[], percentile: number): number {
  const tail = tailOf(countOf(mergedSegment(round)), percentile);
  return Math.max(1, Math.min(BLOCKS_MAX, round.length, Math.floor(tail / TAIL_VALUES_PER_BLOCK)));
}

function countOf(segment: Segment): number {
  let count = 0;
  for (const part of segment.values()) count += part;
  return count;
}

function percentileIn(segment: Segment, percentile: number): number {
  const target = countOf(segment) * (percentile / 100);
  let count = 0;
  for (const [value, part] of [...segment].sort(([one], [other]) => one - other)) {
    count += part;
    if (count >= target) return value;
  }
  return 0;
}

function logOf(ns: number): number {
  return Math.log(Math.max(1, ns));
}

function changeOf({ unjudged, isLarge, ...figures }: Draft, limit: number): Change {
  return { ...figures, verdict: unjudged ?? verdictOf(figures, isLarge && figures.chance <= limit) };
}

function verdictOf({ firstNs, secondNs }: Pick<Draft, "firstNs" | "secondNs">, isChange: boolean): Verdict {
  if (!isChange) return "same";
  return secondNs > firstNs ? "worse" : "better";
}
