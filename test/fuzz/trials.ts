/**
 * Runs a fuzz trial many times, each with a seed of its own that a failure names. SLUICE_FUZZ_SEED=n repeats the one
 * trial of that seed.
 */
import { randomInt } from "node:crypto";
import { Random } from "./random.ts";

const GIVEN = process.env["SLUICE_FUZZ_SEED"];
const SEEDS = 2 ** 31;

export function fuzz(trials: number, trial: (random: Random) => void): void {
  const first = GIVEN === undefined ? randomInt(SEEDS) : Number(GIVEN);
  const last = GIVEN === undefined ? first + trials : first + 1;
  for (let seed = first; seed < last; seed += 1) runTrial(seed, trial);
}

function runTrial(seed: number, trial: (random: Random) => void): void {
  try {
    trial(new Random(seed));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(`repeat with SLUICE_FUZZ_SEED=${seed}: ${message}`, { cause: error });
  }
}
