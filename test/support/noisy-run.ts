/**
 * Runs of a benchmark on a noisy machine, simulated: what a comparison is tested against. Latency is log-normal with a tail; a whole
 * run, each round and each half second has a speed of its own, and slow half seconds follow each other.
 */
import { newHistogram } from "../../src/telemetry/hdr/histogram.ts";
import { Recording } from "../../src/telemetry/hdr/recording.ts";
import type { Random } from "../fuzz/random.ts";

export interface NoisyRun {
  readonly tags: readonly string[];
  readonly rounds: number;
  readonly secondsPerRound: number;
  /** Median where nothing is slow; each tag has 50 us more than the one before. */
  readonly medianUs: number;
  /** Deviations of the speed, as shares. */
  readonly betweenRuns: number;
  readonly betweenRounds: number;
  /** How often a half second turns slow, by 20 to 50 percent. */
  readonly slow: number;
  /** Share of rounds in which somebody else has the machine: three times slower. */
  readonly disturbed: number;
}

const INTERVAL_MS = 500;
const ROUND_DISTANCE_MS = 60_000;
const VALUES_PER_INTERVAL = 300;
const STAYS_SLOW = 0.7;

/** `addedUs` by tag: the change that is to be found. */
export function noisyRun(random: Random, run: NoisyRun, addedUs: (tag: string) => number): Recording {
  const recording = new Recording();
  const runFactor = Math.exp(run.betweenRuns * normal(random));
  for (const [place, tag] of run.tags.entries()) {
    const medianNs = (run.medianUs + 50 * place + addedUs(tag)) * 1_000;
    for (let round = 0; round < run.rounds; round++) {
      const disturbance = random.chance(run.disturbed) ? 3 : 1;
      const factor = runFactor * disturbance * Math.exp(run.betweenRounds * normal(random));
      addRound(recording, random, { tag, startMs: round * ROUND_DISTANCE_MS, medianNs: medianNs * factor, ...run });
    }
  }
  return recording;
}

interface Round extends NoisyRun {
  readonly tag: string;
  readonly startMs: number;
  readonly medianNs: number;
}

function addRound(
  recording: Recording,
  random: Random,
  { tag, startMs, medianNs, secondsPerRound, slow }: Round,
): void {
  let isSlow = false;
  for (let atMs = startMs; atMs < startMs + secondsPerRound * 1_000; atMs += INTERVAL_MS) {
    isSlow = random.chance(isSlow ? STAYS_SLOW : slow);
    const speed = isSlow ? 1.2 + 0.3 * random.unit() : 1;
    const histogram = newHistogram();
    for (let i = 0; i < VALUES_PER_INTERVAL; i++) histogram.recordValue(Math.floor(medianNs * speed * spread(random)));
    recording.add({ tag, startMs: atMs, endMs: atMs + INTERVAL_MS, histogram });
  }
}

function spread(random: Random): number {
  const tail = random.chance(0.01) ? Math.exp(0.5 + 0.8 * Math.abs(normal(random))) : 1;
  return Math.exp(0.25 * normal(random)) * tail;
}

function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.unit())) * Math.cos(2 * Math.PI * random.unit());
}
