/**
 * The figures of a scenario: medians over its rounds. What is compared, latency over direct and CPU over nginx, is compared within a round
 * first, so that a slow minute hits both sides. Pure.
 */

import { DIRECT } from "../contestants/direct.ts";
import { LIMITS_RACE } from "../contestants/sluice.ts";
import { median } from "../median.ts";
import { added, mapPercentiles, type Percentiles } from "./percentiles.ts";
import type { Figure, Look, ScenarioResult, Turn } from "./result.ts";
import type { Scenario } from "./scenario.ts";

export const NGINX = "nginx";
/** A generator that needs more than this part of nginx's CPU time takes part in what it measures. */
export const GENERATOR_SHARE_MAX = 0.5;
/** In an open loop its own delay counts as the contestant's. */
export const GENERATOR_LAG_MS_MAX = 20;

const NOT_LOOKED = { perRequest: null, perEvent: null, how: "not available: no look was taken" };

export interface Findings {
  readonly turns: readonly Turn[];
  readonly looks: readonly Look[];
  /** By contestant. */
  readonly restPssBytes: Readonly<Record<string, number>>;
}

export interface RaceFindings extends Findings {
  /** By contestant: why it was not measured. */
  readonly failed: Record<string, string>;
}

/** Figures that are not to be quoted are put where nobody takes them for figures. */
export function scenarioResult({ name, ...definition }: Scenario, findings: RaceFindings): ScenarioResult {
  const { turns, looks, failed } = findings;
  const figures = figuresOf(findings);
  const share = generatorOverNginx(turns);
  const reason = refusal(share, generatorLagMs(definition.mode.kind, turns));
  const common = { name, definition, turns: [...turns], looks: [...looks], failed, generatorOverNginx: share };
  return reason === null
    ? { ...common, figures, refused: null }
    : { ...common, figures: [], refused: { reason, figures } };
}

/** In the order in which the contestants had their first turn; void turns do not count. */
export function figuresOf(findings: Findings): Figure[] {
  const valid = findings.turns.filter(({ voided }) => voided === null);
  const groups = Map.groupBy(valid, ({ contestant }) => contestant);
  return [...groups.values()].map((turns) => figureOf(turns, groups, findings));
}

function figureOf(turns: readonly Turn[], groups: Map<string, Turn[]>, findings: Findings): Figure {
  const contestant = turns[0]?.contestant ?? "";
  const middle = (figure: (turn: Turn) => number | null) => median(turns.map((turn) => figure(turn) ?? Number.NaN));
  const [nginx, direct] = [pairs(turns, groups.get(NGINX)), pairs(turns, groups.get(DIRECT))];
  const seen = findings.looks.find((look) => look.contestant === contestant);
  const hasEvents = turns.every(({ cpuUsPerEvent }) => cpuUsPerEvent !== null);
  return {
    contestant,
    rounds: turns.length,
    requestsPerSecond: middle((turn) => turn.load.requestsPerSecond),
    latency: latencyMedians(turns.map((turn) => turn.latency)),
    addedLatency: latencyMedians(direct.map(([own, other]) => addedLatency(own, other))),
    cpuUsPerRequest: middle((turn) => turn.cpuUsPerRequest),
    parentCpuUsPerRequest: middle((turn) => turn.parentCpuUsPerRequest),
    cpuUsPerEvent: hasEvents ? middle((turn) => turn.cpuUsPerEvent) : null,
    generatorCpuUsPerRequest: middle((turn) => turn.generatorCpuUsPerRequest),
    cpuOverNginx: medianOrNull(nginx.map(([own, other]) => ratio(own.cpuUsPerRequest, other.cpuUsPerRequest))),
    cpuPerEventOverNginx: hasEvents
      ? medianOrNull(nginx.map(([own, other]) => ratio(own.cpuUsPerEvent, other.cpuUsPerEvent)))
      : null,
    throughputOverNginx: medianOrNull(nginx.map(throughputRatio)),
    throughputOverDirect: medianOrNull(direct.map(throughputRatio)),
    pssBytesAtRest: findings.restPssBytes[contestant] ?? 0,
    pssBytesUnderLoad: middle((turn) => turn.pssBytes),
    syscalls: seen?.syscalls ?? NOT_LOOKED,
    requests: total(turns, (turn) => turn.load.requests),
    aborted: total(turns, (turn) => turn.load.aborted),
    errors: errorsOf(turns),
  };
}

/** Each turn with the other contestant's of the same round. */
function pairs(turns: readonly Turn[], others: readonly Turn[] | undefined): [Turn, Turn][] {
  return turns.flatMap((turn) => {
    const other = others?.find(({ round }) => round === turn.round);
    return other === undefined ? [] : [[turn, other] satisfies [Turn, Turn]];
  });
}

/** CPU time per request over that of nginx, in the rounds that both have. */
export function cpuRatios(turns: readonly Turn[], contestant: string): number[] {
  const valid = turns.filter(({ voided }) => voided === null);
  const of = (name: string) => valid.filter((turn) => turn.contestant === name);
  return pairs(of(contestant), of(NGINX)).map(([own, nginx]) => ratio(own.cpuUsPerRequest, nginx.cpuUsPerRequest));
}

/** CPU time per request with limits over that without, in the rounds that have both of each. */
export function limitsRatios(turns: readonly Turn[]): number[] {
  const rounds = Map.groupBy(turns, ({ round }) => round);
  const sum = (names: readonly string[], round: readonly Turn[]) => {
    const own = round.filter(({ contestant, voided }) => names.includes(contestant) && voided === null);
    return own.length === names.length
      ? own.reduce((total, turn) => total + (turn.cpuUsPerRequest ?? 0), 0)
      : Number.NaN;
  };
  return [...rounds.values()]
    .map((round) => ratio(sum(LIMITS_RACE.limited, round), sum(LIMITS_RACE.plain, round)))
    .filter(Number.isFinite);
}

function ratio(one: number | null, other: number | null): number {
  return (one ?? Number.NaN) / (other ?? Number.NaN);
}

function throughputRatio([own, other]: readonly [Turn, Turn]): number {
  return own.load.requestsPerSecond / other.load.requestsPerSecond;
}

function medianOrNull(values: readonly number[]): number | null {
  return values.length === 0 ? null : median(values);
}

type Latency = Readonly<Record<string, Percentiles>>;

function addedLatency(own: Turn, direct: Turn): Latency {
  const metrics = Object.entries(own.latency).flatMap(([metric, percentiles]) => {
    const other = direct.latency[metric];
    return other === undefined ? [] : [[metric, added(percentiles, other)] as const];
  });
  return Object.fromEntries(metrics);
}

function latencyMedians(rounds: readonly Latency[]): Record<string, Percentiles> {
  const metrics = new Set(rounds.flatMap((round) => Object.keys(round)));
  const medians = [...metrics].map((metric) => {
    const known = rounds.flatMap((round) => round[metric] ?? []);
    return [metric, mapPercentiles((name) => median(known.map((percentiles) => percentiles[name])))] as const;
  });
  return Object.fromEntries(medians);
}

function total(turns: readonly Turn[], count: (turn: Turn) => number): number {
  return turns.reduce((sum, turn) => sum + count(turn), 0);
}

/** `unsent`: the connections that the scenario allows were not enough, because answers took so long. */
function errorsOf(turns: readonly Turn[]): Record<string, number> {
  const errors = new Map<string, number>();
  for (const { load } of turns) {
    for (const [reason, count] of Object.entries({ ...load.wrong, unsent: load.unsent })) {
      if (count > 0) errors.set(reason, (errors.get(reason) ?? 0) + count);
    }
  }
  return Object.fromEntries(errors);
}

/** The generator's CPU time per request over nginx's, while it loaded nginx: the median over the rounds; null without nginx. */
export function generatorOverNginx(turns: readonly Turn[]): number | null {
  const ofNginx = turns.filter(({ contestant, voided }) => contestant === NGINX && voided === null);
  return medianOrNull(ofNginx.map((turn) => ratio(turn.generatorCpuUsPerRequest, turn.cpuUsPerRequest)));
}

/** How late the generator was in an open loop at the worst moment: the median over all turns; null in a closed loop. */
export function generatorLagMs(mode: "open" | "closed", turns: readonly Turn[]): number | null {
  return mode === "closed" ? null : medianOrNull(turns.map(({ load }) => load.lagMaxNs / 1e6));
}

/** Null, or why figures measured with such a generator are not to be quoted. */
export function refusal(overNginx: number | null, lagMs: number | null): string | null {
  if (overNginx !== null && overNginx > GENERATOR_SHARE_MAX) {
    const [is, max] = [Math.round(100 * overNginx), 100 * GENERATOR_SHARE_MAX];
    return `the load generator took ${is} % of nginx's CPU time per request; more than ${max} % is too much`;
  }
  if (lagMs === null || lagMs <= GENERATOR_LAG_MS_MAX) return null;
  return `the load generator sent requests up to ${Math.round(lagMs)} ms late: it did not get the CPU time that it needs`;
}
