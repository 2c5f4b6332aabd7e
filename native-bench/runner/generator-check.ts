/**
 * Whether the load generator agrees with wrk: both load the same server with the same requests over 64 connections as fast as it
 * answers, in turns. The server is Sluice in front of the mock provider: it is far slower than either generator, so that both must find
 * the same rate. nginx is not slow enough: on two CPUs wrk and the mock are nearly as busy as it.
 */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Direct } from "../contestants/direct.ts";
import { Sluice } from "../contestants/sluice.ts";
import { median } from "../median.ts";
import { type LoadSpec, runLoad } from "./load.ts";
import { Mock } from "./mock.ts";
import type { Options } from "./options.ts";
import { onCpus, type Pinning, pinnedCommand, pinning } from "./pinning.ts";
import { isInstalled } from "./requirement.ts";
import { chosenScenarios, type Scenario } from "./scenario.ts";
import { specificationOf } from "./specification.ts";

const SCENARIO = "saturation";
/** Of wrk's requests per second. */
export const DISAGREEMENT_MAX = 0.05;
/** wrk takes whole seconds only. */
const SECONDS_MIN = 1;
const run = promisify(execFile);

export interface Agreement {
  /** Requests per second, round by round. */
  readonly load: readonly number[];
  readonly wrk: readonly number[];
  /** The median over the rounds of load over wrk. */
  readonly ratio: number;
  readonly agrees: boolean;
}

export function agreementOf(load: readonly number[], wrk: readonly number[]): Agreement {
  const ratio = median(load.map((rate, round) => rate / (wrk[round] ?? Number.NaN)));
  return { load, wrk, ratio, agrees: Math.abs(ratio - 1) <= DISAGREEMENT_MAX };
}

/** What is missing for the check; null: nothing. */
export function missingForCheck(): string | null {
  return isInstalled("wrk", "-v") ? null : "wrk is not in PATH: apt install wrk";
}

export async function checkGenerator(options: Options, signal: AbortSignal): Promise<Agreement> {
  const [scenario] = chosenScenarios([SCENARIO], false);
  if (scenario === undefined) throw new Error(`there is no scenario ${SCENARIO}`);
  const directory = mkdtempSync(join(tmpdir(), "sluice-bench-"));
  const check = new Check(directory, scenario, options, signal);
  try {
    return await check.run();
  } finally {
    await check.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

class Check {
  readonly #directory: string;
  readonly #scenario: Scenario;
  readonly #options: Options;
  readonly #signal: AbortSignal;
  readonly #pins: Pinning;
  readonly #mock: Mock;
  readonly #server = new Sluice();

  constructor(directory: string, scenario: Scenario, options: Options, signal: AbortSignal) {
    this.#directory = directory;
    this.#scenario = scenario;
    this.#options = options;
    this.#signal = signal;
    this.#pins = pinning(options.isPinned, options.workers);
    this.#mock = new Mock(this.#pins.mock);
  }

  async run(): Promise<Agreement> {
    await this.#mock.restart(this.#scenario);
    const directory = join(this.#directory, "server");
    mkdirSync(directory);
    const setting = { directory, mockPort: this.#mock.port, workers: this.#options.workers };
    await onCpus(this.#pins.contestant, () => this.#server.start(setting));
    const spec = await this.#spec();
    const [load, wrk]: [number[], number[]] = [[], []];
    for (let round = 0; round < this.#options.rounds; round += 1) {
      // In turns, so that none always comes second.
      if (round % 2 === 0) load.push(await this.#load(spec));
      wrk.push(await this.#wrk(spec));
      if (round % 2 === 1) load.push(await this.#load(spec));
    }
    return agreementOf(load, wrk);
  }

  async #spec(): Promise<LoadSpec> {
    const direct = new Direct(this.#mock).endpoint;
    const { warmUpSeconds, seconds } = this.#options;
    const site = { directory: this.#directory, cpus: this.#pins.load, signal: this.#signal };
    return specificationOf(this.#scenario, this.#server, {
      ...site,
      direct,
      warmUpSeconds,
      seconds: Math.max(SECONDS_MIN, seconds),
    });
  }

  async #load(spec: LoadSpec): Promise<number> {
    const site = { directory: this.#directory, cpus: this.#pins.load, signal: this.#signal };
    const { summary } = await runLoad(spec, site);
    return summary.requestsPerSecond;
  }

  async #wrk({ requests: [request], mode, target, durationMs }: LoadSpec): Promise<number> {
    if (request === undefined || mode.kind !== "closed") throw new Error("wrk cannot drive this scenario");
    const file = join(this.#directory, "wrk.lua");
    writeFileSync(file, scriptOf(request.bodyFile, request.headers));
    const url = `http://127.0.0.1:${target.port}${request.path}`;
    const args = ["-t1", `-c${mode.connections}`, `-d${Math.ceil(durationMs / 1_000)}s`, "-s", file, url];
    const { stdout } = await run(...pinnedCommand(this.#pins.load, "wrk", args), { signal: this.#signal });
    const rate = /^Requests\/sec:\s+([\d.]+)$/m.exec(stdout)?.[1];
    if (rate === undefined || stdout.includes("Non-2xx")) throw new Error(`wrk has no figure: ${stdout}`);
    return Number(rate);
  }

  async stop(): Promise<void> {
    await this.#server.stop();
    await this.#mock.stop();
  }
}

function scriptOf(bodyFile: string, headers: readonly (readonly [string, string])[]): string {
  const lines = headers.map(([name, value]) => `wrk.headers[${JSON.stringify(name)}] = ${JSON.stringify(value)}`);
  return `wrk.method = "POST"
local file = io.open(${JSON.stringify(bodyFile)}, "rb")
wrk.body = file:read("*a")
file:close()
${lines.join("\n")}
`;
}
