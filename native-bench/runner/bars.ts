/**
 * What Sluice promises to be, as figures of a run: each with its bar, where it comes from, and whether it is met. Pure. What must
 * hold: a figure that was refused, or was measured in another way than its bar asks for, is not measured.
 */
import { SLUICE } from "../contestants/sluice.ts";
import type { Figure, Result } from "./result.ts";
import { NGINX } from "./summary.ts";
import { textTable } from "./text-table.ts";

const BYTES_PER_MB = 1e6;
const PERCENT = 100;

type Value = number | null | undefined;

interface Bar {
  readonly figure: string;
  readonly limit: Limit;
  readonly unit: "x" | "%" | "MB" | "";
  readonly scenarios: readonly string[];
  /** Of every contestant. */
  readonly workers: number;
  /** Of a contestant, from the figures of these scenarios; nothing: there is none. */
  readonly measure: (figureOf: FigureOf, contestant: string) => Value;
}

interface Limit {
  readonly kind: "at most" | "at least";
  readonly value: number;
  /** What would be better still. */
  readonly goal: number;
}

type FigureOf = (scenario: string, contestant: string) => Figure | undefined;

function atMost(value: number, goal: number): Limit {
  return { kind: "at most", value, goal };
}

function cpuOverNginx(scenario: string, of: string, limit: Limit): Bar {
  const measure: Bar["measure"] = (figureOf, contestant) => figureOf(scenario, contestant)?.cpuOverNginx;
  return {
    figure: `CPU per request over nginx's, ${of}`,
    limit,
    unit: "x",
    scenarios: [scenario],
    workers: 1,
    measure,
  };
}

/** Both are medians of differences to direct. Where nginx adds nothing that can be measured there is no ratio. */
function addedOverNginx(name: "p50" | "p99", limit: Limit): Bar {
  const scenario = "open-3000";
  const addedBy: Bar["measure"] = (figureOf, contestant) =>
    figureOf(scenario, contestant)?.addedLatency["total"]?.[`${name}Us`];
  return {
    figure: `added latency, ${name}, over nginx's, 3,000 per second`,
    limit,
    unit: "x",
    scenarios: [scenario],
    workers: 1,
    measure: (figureOf, contestant) => ratio(addedBy(figureOf, contestant), addedBy(figureOf, NGINX)),
  };
}

function ratio(one: Value, other: Value): Value {
  return one === undefined || one === null || !(Number(other) > 0) ? null : one / Number(other);
}

const BARS: readonly Bar[] = [
  cpuOverNginx("users-1000", "1,000 connections, 60 ms upstream", atMost(1.8, 1.3)),
  cpuOverNginx("saturation", "64 connections, saturated", atMost(2.2, 1.6)),
  {
    figure: "CPU per event over nginx's, 1,000 streams",
    limit: atMost(2, 1.2),
    unit: "x",
    scenarios: ["streams-1000"],
    workers: 1,
    measure: (figureOf, contestant) => figureOf("streams-1000", contestant)?.cpuPerEventOverNginx,
  },
  {
    figure: "throughput, 1,000 users, 60 ms upstream, of direct's",
    limit: { kind: "at least", value: 95, goal: 99 },
    unit: "%",
    scenarios: ["users-1000"],
    workers: 1,
    measure: (figureOf, contestant) =>
      scaled(figureOf("users-1000", contestant)?.throughputOverDirect, (part) => PERCENT * part),
  },
  addedOverNginx("p50", atMost(1.5, 1.2)),
  addedOverNginx("p99", atMost(2, 1.3)),
  {
    figure: "p99 of small requests with 1 % of 1 MB, over without",
    limit: atMost(2, 1.2),
    unit: "x",
    scenarios: ["small-1500", "small-1500-large"],
    workers: 1,
    measure: (figureOf, contestant) =>
      ratio(
        figureOf("small-1500-large", contestant)?.latency["small"]?.p99Us,
        figureOf("small-1500", contestant)?.latency["small"]?.p99Us,
      ),
  },
  cpuOverNginx("https-saturation", "64 connections, saturated, https upstream", atMost(2, 1.4)),
  {
    figure: "PSS of all processes, two workers, 1,000 users",
    limit: atMost(200, 130),
    unit: "MB",
    scenarios: ["users-1000"],
    workers: 2,
    measure: (figureOf, contestant) =>
      scaled(figureOf("users-1000", contestant)?.pssBytesUnderLoad, (bytes) => bytes / BYTES_PER_MB),
  },
  {
    figure: "system calls per request, 64 connections, saturated",
    limit: atMost(7, 4),
    unit: "",
    scenarios: ["saturation"],
    workers: 1,
    measure: (figureOf, contestant) => figureOf("saturation", contestant)?.syscalls.perRequest,
  },
];

function scaled(value: Value, scale: (value: number) => number): Value {
  return typeof value === "number" ? scale(value) : value;
}

export interface BarRun {
  readonly workers: number;
  readonly scenarios: readonly string[];
}

/** What is to be run to measure all of them. */
export function barRuns(): BarRun[] {
  const groups = Map.groupBy(BARS, ({ workers }) => workers);
  return [...groups].map(([workers, bars]) => ({
    workers,
    scenarios: [...new Set(bars.flatMap(({ scenarios }) => scenarios))],
  }));
}

export interface BarFinding {
  readonly figure: string;
  readonly unit: Bar["unit"];
  readonly limit: Limit;
  /** Of Sluice; null: not measured. */
  readonly measured: number | null;
  /** The same figure of nginx. */
  readonly nginx: number | null;
  readonly verdict: "met" | "missed" | "not measured";
  /** What measures it alone. */
  readonly command: string;
}

/** Of runs on one machine: the first that has what a bar needs. */
export function barFindings(results: readonly Result[]): BarFinding[] {
  return BARS.map((bar) => findingOf(bar, results));
}

function findingOf(bar: Bar, results: readonly Result[]): BarFinding {
  const { figure, unit, limit, scenarios, workers, measure } = bar;
  const able = results.filter(({ parameters }) => parameters.workers === workers);
  const valuesOf = (contestant: string) => able.map((result) => measure(figuresIn(result), contestant));
  const measured = firstNumber(valuesOf(SLUICE));
  const options = workers === 1 ? "" : ` --workers ${workers}`;
  return {
    figure,
    unit,
    limit,
    measured,
    nginx: firstNumber(valuesOf(NGINX)),
    verdict: measured === null ? "not measured" : isMet(limit, measured) ? "met" : "missed",
    command: `npm run bench -- --scenario ${scenarios.join(",")}${options}`,
  };
}

/** A scenario whose figures are refused has none. */
function figuresIn({ scenarios }: Result): FigureOf {
  return (name, contestant) =>
    scenarios.find((scenario) => scenario.name === name)?.figures.find((figure) => figure.contestant === contestant);
}

function firstNumber(values: readonly Value[]): number | null {
  return values.find((value) => typeof value === "number" && Number.isFinite(value)) ?? null;
}

function isMet({ kind, value }: Limit, measured: number): boolean {
  return kind === "at most" ? measured <= value : measured >= value;
}

export function barsText(findings: readonly BarFinding[]): string {
  const rows = findings.map(({ figure, unit, limit, measured, nginx, verdict, command }) => [
    figure,
    `${limit.kind} ${amount(limit.value, unit)}`,
    amount(limit.goal, unit),
    amount(measured, unit),
    amount(nginx, unit),
    verdict,
    command,
  ]);
  return textTable(["figure", "bar", "goal", "sluice", "nginx", "verdict", "measured by"], rows);
}

function amount(value: number | null, unit: Bar["unit"]): string {
  if (value === null) return "-";
  if (unit === "MB") return `${value.toFixed(0)} MB`;
  if (unit === "%") return `${value.toFixed(1)} %`;
  return unit === "x" ? `${value.toFixed(2)}x` : value.toFixed(1);
}
