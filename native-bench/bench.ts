/**
 * `npm run bench`: Sluice, nginx, other gateways and the mock provider itself under the same loads, in turns, on one machine. Prints
 * progress on standard error and tables on standard output; writes a folder with the result. Loopback only; ends what it started, and
 * only that. Exit code 1: something failed, or became worse than the result of --against.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { allocations } from "./allocations/allocations.ts";
import { flame } from "./flame/flame.ts";
import type { WatchedLoad } from "./flame/subject.ts";
import { pauses } from "./pauses/pauses.ts";
import { compareResults } from "./runner/against.ts";
import { barFindings, barRuns, barsText } from "./runner/bars.ts";
import { checkGenerator, missingForCheck } from "./runner/generator-check.ts";
import { commit } from "./runner/machine.ts";
import { type Options, parseOptions, USAGE } from "./runner/options.ts";
import { outputDirectory, writeOutput } from "./runner/output.ts";
import { hotFunctions } from "./runner/profile.ts";
import { reportOf } from "./runner/report.ts";
import { readResult } from "./runner/result.ts";
import { type Outcome, run } from "./runner/run.ts";
import { allScenarios, chosenScenarios, type Scenario } from "./runner/scenario.ts";
import { textTable } from "./runner/text-table.ts";

const USUAL_SCENARIO = "saturation";
const BARS_FILE = "bars.json";
const RESULTS = fileURLToPath(new URL("../bench-results/", import.meta.url));

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Aborted by Ctrl-C, and by being asked to end; the second time ends at once. */
function endSignal(): AbortSignal {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(name, () => controller.abort(new Error(`ended by ${name}`)));
  }
  return controller.signal;
}

function directoryFor({ out }: Pick<Options, "out">): string {
  return out === "" ? outputDirectory(RESULTS, new Date(), commit()) : out;
}

async function measure(options: Options): Promise<boolean> {
  const scenarios = chosenScenarios(options.scenarios, options.full);
  const directory = directoryFor(options);
  // Before everything else, so that a wrong name does not cost a run.
  if (options.against !== "") readResult(options.against);
  const outcome = await measureInto(directory, options, scenarios, endSignal());
  const measured = barFindings([outcome.result]).filter(({ verdict }) => verdict !== "not measured");
  if (measured.length > 0) process.stdout.write(`\n${barsText(measured)}\n`);
  if (options.profile !== "") console.table(hotFunctions(options.profile));
  const isWorse = options.against !== "" && becameWorse(options.against, directory);
  return isSound(outcome) && !isWorse;
}

async function measureInto(
  directory: string,
  options: Options,
  scenarios: readonly Scenario[],
  signal: AbortSignal,
): Promise<Outcome> {
  const outcome = await run({ options, scenarios, signal, say });
  mkdirSync(directory, { recursive: true });
  writeOutput(directory, outcome.result, outcome.turns);
  process.stdout.write(`\n${reportOf(outcome.result)}\n\nwritten to ${directory}: result.json, curves.html, logs\n`);
  return outcome;
}

/** One run for each number of workers that a bar asks for. */
async function judge(options: Options): Promise<boolean> {
  const directory = directoryFor(options);
  const signal = endSignal();
  const outcomes: Outcome[] = [];
  for (const { workers, scenarios } of barRuns()) {
    const own = join(directory, `workers-${workers}`);
    outcomes.push(await measureInto(own, { ...options, workers }, chosenScenarios(scenarios, false), signal));
  }
  const findings = barFindings(outcomes.map(({ result }) => result));
  writeFileSync(join(directory, BARS_FILE), `${JSON.stringify(findings, null, 2)}\n`);
  process.stdout.write(`\n${barsText(findings)}\n\nwritten to ${join(directory, BARS_FILE)}\n`);
  return outcomes.every(isSound) && findings.every(({ verdict }) => verdict === "met");
}

function becameWorse(former: string, directory: string): boolean {
  const { text, isWorse } = compareResults(former, directory);
  process.stdout.write(`\nagainst ${former}\n\n${text}\n`);
  return isWorse;
}

function isSound({ result }: Outcome): boolean {
  return result.scenarios.every(
    ({ turns, failed }) => turns.every(({ voided }) => voided === null) && Object.keys(failed).length === 0,
  );
}

/** As long as a contestant is measured in all rounds. */
async function watchWorker(
  reportOn: (load: WatchedLoad) => Promise<string>,
  { scenarios, rounds, seconds, warmUpSeconds }: Options,
): Promise<void> {
  const signal = endSignal();
  for (const scenario of chosenScenarios(scenarios.length === 0 ? [USUAL_SCENARIO] : scenarios, false)) {
    const report = await reportOn({ scenario, warmUpSeconds, seconds: rounds * seconds, signal });
    process.stdout.write(`${scenario.name}: ${scenario.title}\n${report}\n\n`);
  }
}

/** One page per scenario; sampled for as long as a contestant is measured in all rounds. */
async function drawFlames({ scenarios, rounds, seconds, warmUpSeconds, ...options }: Options): Promise<void> {
  const names = scenarios.length === 0 ? [USUAL_SCENARIO] : scenarios;
  const directory = directoryFor(options);
  const signal = endSignal();
  mkdirSync(directory, { recursive: true });
  for (const scenario of chosenScenarios(names, false)) {
    const file = join(directory, `flame-${scenario.name}.html`);
    say(`${scenario.name}: ${scenario.title}`);
    await flame({ scenario, warmUpSeconds, seconds: rounds * seconds, file, signal });
    process.stdout.write(`written to ${file}\n`);
  }
}

async function agreeWithWrk(options: Options): Promise<boolean> {
  const missing = missingForCheck();
  if (missing !== null) throw new Error(missing);
  const { load, wrk, ratio, agrees } = await checkGenerator(options, endSignal());
  const rows = load.map((rate, round) => [`round ${round + 1}`, rate.toFixed(0), wrk[round]?.toFixed(0) ?? ""]);
  const verdict = agrees ? "they agree within 5 %" : "they do NOT agree within 5 %";
  process.stdout.write(
    `${textTable(["requests/s", "load", "wrk"], rows)}\nload over wrk: ${ratio.toFixed(3)}: ${verdict}\n`,
  );
  return agrees;
}

function listScenarios(): void {
  const rows = allScenarios().map(({ name, title, short }) => [name, short ? "short" : "full", title]);
  process.stdout.write(`${textTable(["scenario", "set", "what"], rows, 3)}\n`);
}

/** False: it was done, and the finding is bad. */
async function perform(options: Options): Promise<boolean> {
  if (options.task === "measure") return measure(options);
  if (options.task === "bars") return judge(options);
  if (options.task === "check-generator") return agreeWithWrk(options);
  if (options.task === "flame") await drawFlames(options);
  else if (options.task === "allocations") await watchWorker(allocations, options);
  else if (options.task === "pauses") await watchWorker(pauses, options);
  else if (options.task === "list") listScenarios();
  else process.stdout.write(`${USAGE}\n`);
  return true;
}

async function main(): Promise<void> {
  if (!(await perform(parseOptions(process.argv.slice(2))))) process.exitCode = 1;
}

await main().catch((error: unknown) => {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
});
