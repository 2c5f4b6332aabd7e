/**
 * What the intervals of one run say, by tag: their sum, and their course over time for the judgement of noise. Command line
 * and benchmarks.
 *
 * A round is a stretch of intervals without a gap: contestants take turns, so a gap in the times of a tag is somebody else's
 * turn. A round is kept as at most SEGMENTS_MAX segments of counts, and a track as HDR_ROUNDS_MAX rounds; when there are more,
 * neighbours are put together.
 */
import { CodedError } from "../../base/errors.ts";
import { HDR_ROUNDS_MAX, HDR_TAGS_MAX } from "../../base/limits.ts";
import { addHistogram, emptyLike, type Histogram, sameResolution } from "./histogram.ts";
import type { Interval } from "./hlog.ts";

const SEGMENTS_MAX = 64;
/** A pause that is longer than this share of an interval begins a new round. */
const GAP_SHARE = 0.5;

/** Counts by value in nanoseconds, the highest that the histogram cannot tell from what was recorded. */
export type Segment = Map<number, number>;

export interface Track {
  readonly sum: Histogram;
  readonly rounds: Segment[][];
  intervals: number;
  /** Unix time: the beginning of the first and the end of the last interval. */
  readonly startMs: number;
  endMs: number;
}

export class Recording {
  readonly tracks = new Map<string, Track>();

  /** Throws CodedErrors: hdr_resolutions_differ, hdr_too_many_tags. */
  add({ tag, startMs, endMs, histogram }: Interval): void {
    const track = this.tracks.get(tag) ?? this.#newTrack(tag, startMs, histogram);
    if (!sameResolution(track.sum, histogram)) throw differentResolutions(tag);
    addHistogram(track.sum, histogram);
    const goesOn = Math.abs(startMs - track.endMs) <= GAP_SHARE * (endMs - startMs);
    if (histogram.totalCount > 0) addSegment(track, segmentOf(histogram), goesOn);
    track.intervals += 1;
    track.endMs = endMs;
  }

  #newTrack(tag: string, startMs: number, like: Histogram): Track {
    if (this.tracks.size >= HDR_TAGS_MAX)
      throw new CodedError("hdr_too_many_tags", `The logs have more than ${HDR_TAGS_MAX} tags; name fewer files.`);
    const track = { sum: emptyLike(like), rounds: [], intervals: 0, startMs, endMs: startMs };
    this.tracks.set(tag, track);
    return track;
  }
}

function differentResolutions(tag: string): CodedError {
  const name = tag === "" ? "without a tag" : `of the tag ${tag}`;
  return new CodedError(
    "hdr_resolutions_differ",
    `The histograms ${name} have different resolutions and cannot be added up without loss; take files of one program.`,
  );
}

function segmentOf(histogram: Histogram): Segment {
  const segment: Segment = new Map();
  const end = histogram.countsArrayIndex(histogram.maxValue);
  for (let index = 0; index <= end; index++) {
    const count = histogram.getCountAtIndex(index);
    if (count !== 0) segment.set(histogram.highestEquivalentValue(histogram.valueFromIndex(index)), count);
  }
  return segment;
}

function addSegment({ rounds }: Track, segment: Segment, goesOn: boolean): void {
  const last = rounds.at(-1);
  if (last !== undefined && goesOn) last.push(segment);
  else rounds.push([segment]);
  if (rounds.length > HDR_ROUNDS_MAX) rounds.splice(0, rounds.length, ...pairsOf(rounds).map((pair) => pair.flat()));
  for (const round of rounds) {
    if (round.length > SEGMENTS_MAX) round.splice(0, round.length, ...pairsOf(round).map(mergedSegment));
  }
}

function pairsOf<T>(items: readonly T[]): T[][] {
  return groupsOf(items, Math.ceil(items.length / 2));
}

/** `count` groups of neighbours, as equal as can be. */
export function groupsOf<T>(items: readonly T[], count: number): T[][] {
  const edge = (group: number) => Math.round((group * items.length) / count);
  return Array.from({ length: count }, (_, group) => items.slice(edge(group), edge(group + 1)));
}

export function mergedSegment(segments: readonly Segment[]): Segment {
  const merged: Segment = new Map();
  for (const segment of segments) {
    for (const [value, count] of segment) merged.set(value, (merged.get(value) ?? 0) + count);
  }
  return merged;
}
