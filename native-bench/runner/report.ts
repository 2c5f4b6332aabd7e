/** The result as a person reads it: a table per scenario, and what is to be known about all of them. Pure. */
import { median } from "../median.ts";
import { PERCENTILE_NAMES, type Percentiles } from "./percentiles.ts";
import type { Figure, Result, ScenarioResult } from "./result.ts";
import { limitsRatios } from "./summary.ts";
import { textTable } from "./text-table.ts";

const HEAD = ["", "requests/s", "p50", "p90", "p99", "p99.9", "max", "+p50", "+p90", "+p99", "+p99.9"];
const COST_HEAD = [
  "CPU/req",
  "x nginx",
  "CPU/event",
  "x nginx",
  "calls/req",
  "calls/event",
  "PSS rest",
  "PSS load",
  "errors",
];
/** The longest of one against the longest of another says nothing. */
const ADDED_NAMES = PERCENTILE_NAMES.filter((name) => name !== "maxUs");
const METRIC_LABELS: Readonly<Record<string, string>> = { ttft: "  first byte", gap: "  between events" };
const NONE = "-";
const LEGEND =
  "latency in ms; + is what is added to direct, in the same round; CPU in us, of all processes; medians over the rounds";

export function reportOf(result: Result): string {
  const { scenarios } = result;
  return [
    [...headOf(result), LEGEND].join("\n"),
    ...scenarios.map(scenarioText),
    ...limitsText(scenarios),
    noiseText(result),
  ].join("\n\n");
}

/** What is to be known about a run, line by line. */
export function headOf({ machine, commit, versions, pinning, missing, parameters }: Result): string[] {
  const programs = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const megabytes = Math.round(machine.memoryBytes / 1e6);
  return [
    `${machine.cores} x ${machine.cpu}, ${megabytes} MB, Linux ${machine.kernel}, commit ${commit}`,
    programs.join(", "),
    `${parameters.rounds} rounds of ${parameters.seconds} s, ${parameters.workers} worker(s); ${pinning.reason}`,
    ...(parameters.burdenUs > 0 ? [`Sluice carries a burden of ${parameters.burdenUs} us per request`] : []),
    ...(parameters.isProfiled ? ["Sluice is profiled, which costs a fifth: no figures to quote"] : []),
    ...Object.entries(missing).map(([name, reason]) => `without ${name}: ${reason}`),
  ];
}

export function scenarioText(scenario: ScenarioResult): string {
  const { refused } = scenario;
  const rows = (refused?.figures ?? scenario.figures).flatMap(rowsOf);
  const notes = [
    ...(refused === null ? [] : [`REFUSED, not to be quoted: ${refused.reason}`]),
    generatorNote(scenario),
    ...limitsNote(scenario),
    ...Object.entries(scenario.failed).map(([name, reason]) => `${name} FAILED: ${reason}`),
    ...scenario.turns.flatMap(voidNote),
    ...syscallNotes(scenario),
  ];
  const title = `${scenario.name}: ${scenario.definition.title}`;
  return [title, textTable([...HEAD, ...COST_HEAD], rows), ...notes].join("\n");
}

function generatorNote({ generatorOverNginx }: ScenarioResult): string {
  if (generatorOverNginx === null) return "load generator: its cost cannot be checked without nginx";
  return `load generator: ${Math.round(100 * generatorOverNginx)} % of nginx's CPU time per request`;
}

function limitsNote({ turns }: ScenarioResult): string[] {
  const ratios = limitsRatios(turns);
  if (ratios.length === 0) return [];
  const [low, high] = [Math.min(...ratios), Math.max(...ratios)].map((one) => one.toFixed(3));
  return [`ten limits: CPU per request ${median(ratios).toFixed(3)}x of that without limits; rounds ${low} to ${high}`];
}

/** Of all scenarios that were run with limits and without; no line where there is one, or none. */
function limitsText(scenarios: readonly ScenarioResult[]): string[] {
  const ratios = scenarios.map(({ turns }) => limitsRatios(turns)).filter(({ length }) => length > 0);
  if (ratios.length < 2) return [];
  const mean = Math.exp(ratios.reduce((sum, one) => sum + Math.log(median(one)), 0) / ratios.length);
  return [`ten limits, ${ratios.length} scenarios: ${mean.toFixed(3)}x of the CPU per request (geometric mean)`];
}

function voidNote({ contestant, round, voided }: ScenarioResult["turns"][number]): string[] {
  return voided === null ? [] : [`${contestant}, round ${round + 1}, is VOID: ${voided}`];
}

function syscallNotes({ looks }: ScenarioResult): string[] {
  const ways = new Set(looks.map(({ syscalls }) => syscalls.how));
  return [...ways].map((how) => `system calls: ${how}`);
}

function rowsOf(figure: Figure): string[][] {
  const { total, ...others } = figure.latency;
  const first = [figure.contestant, count(figure.requestsPerSecond), ...latencyCells(figure, "total", total)];
  // The first byte of an answer that is no stream is its end as well.
  const shown = Object.entries(others).filter(([metric]) => figure.cpuUsPerEvent !== null || metric !== "ttft");
  const more = shown.map(([metric, percentiles]) => [
    METRIC_LABELS[metric] ?? `  ${metric}`,
    "",
    ...latencyCells(figure, metric, percentiles),
  ]);
  return [[...first, ...costCells(figure)], ...more];
}

function latencyCells(figure: Figure, metric: string, percentiles: Percentiles | undefined): string[] {
  const over = figure.addedLatency[metric];
  const own = PERCENTILE_NAMES.map((name) => milliseconds(percentiles?.[name]));
  return [...own, ...ADDED_NAMES.map((name) => milliseconds(over?.[name]))];
}

function costCells(figure: Figure): string[] {
  return [
    microseconds(figure.cpuUsPerRequest),
    figure.cpuOverNginx?.toFixed(2) ?? NONE,
    microseconds(figure.cpuUsPerEvent),
    figure.cpuPerEventOverNginx?.toFixed(2) ?? NONE,
    figure.syscalls.perRequest?.toFixed(1) ?? NONE,
    figure.syscalls.perEvent?.toFixed(2) ?? NONE,
    megabytes(figure.pssBytesAtRest),
    megabytes(figure.pssBytesUnderLoad),
    errorsText(figure),
  ];
}

function errorsText({ errors }: Figure): string {
  const entries = Object.entries(errors);
  return entries.length === 0 ? "0" : entries.map(([reason, number]) => `${number} ${reason}`).join(", ");
}

function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

function milliseconds(us: number | undefined): string {
  return us === undefined ? NONE : (us / 1_000).toFixed(2);
}

function microseconds(us: number | null): string {
  return us === null ? NONE : us.toFixed(1);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

export function noiseText({ calibration }: Result): string {
  const percent = (100 * calibration.spread).toFixed(1);
  const measured = `the same piece of work took up to ${percent} % longer at one time than at another`;
  return calibration.isNoisy ? `NOISY MACHINE: ${measured}; trust ratios within a round only` : `noise: ${measured}`;
}
