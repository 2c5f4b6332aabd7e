/** Turns and results of the benchmark, made up for tests of what is done with them. */
import type { Result, ScenarioResult, Turn } from "../../native-bench/runner/result.ts";

/** A scenario of the least. */
export const CLOSED = 'title: "s"\nmode: { kind: closed, connections: 1 }';
const WRONG = { status: 0, length: 0, checksum: 0, terminal: 0, reset: 0, timeout: 0, connect: 0 };

interface Given {
  readonly contestant: string;
  readonly round: number;
  readonly p50Us: number;
  readonly cpuUs: number;
  readonly rate?: number;
  readonly generatorUs?: number;
  readonly lagMaxNs?: number;
  readonly voided?: string;
  readonly wrong?: Readonly<Record<string, number>>;
}

export function turn(given: Given): Turn {
  const {
    contestant,
    round,
    p50Us,
    cpuUs,
    rate = 100,
    generatorUs = 1,
    lagMaxNs = 0,
    voided = null,
    wrong = {},
  } = given;
  const load = {
    requests: 100,
    right: 100,
    wrong: { ...WRONG, ...wrong },
    aborted: 0,
    events: 0,
    bytesIn: 0,
    bytesOut: 0,
  };
  const more = { seconds: 1, requestsPerSecond: rate, cpuUserUs: 0, cpuSystemUs: 0, connectionsOpened: 1, unsent: 0 };
  const total = { count: 100, p50Us, p90Us: p50Us + 10, p99Us: p50Us + 20, p999Us: p50Us + 30, maxUs: p50Us + 40 };
  return {
    contestant,
    scenario: "s",
    round,
    voided,
    load: { ...load, ...more, lagMaxNs, begun: 100 },
    latency: { total },
    cpuUsPerRequest: cpuUs,
    parentCpuUsPerRequest: cpuUs / 4,
    cpuUsPerEvent: null,
    generatorCpuUsPerRequest: generatorUs,
    pssBytes: 1_000 * cpuUs,
  };
}

export function resultOf(scenarios: ScenarioResult[], workers = 1): Result {
  const machine = { cpu: "c", cores: 2, memoryBytes: 1, kernel: "k", node: "v22", load: 0 };
  return {
    version: 2,
    startedAt: "",
    finishedAt: "",
    commit: "c",
    machine,
    versions: {},
    parameters: { rounds: 3, seconds: 1, warmUpSeconds: 1, workers, burdenUs: 0, isProfiled: false },
    pinning: { load: null, mock: null, contestant: null, reason: "" },
    calibration: { samplesMs: [1], spread: 0, isNoisy: false },
    missing: {},
    scenarios,
  };
}
