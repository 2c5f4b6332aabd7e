/** Drives one load with wrk and reads its figures, which a Lua script prints as JSON. */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { chatBody } from "../chat-body.ts";
import type { Scenario } from "./scenario.ts";

export interface Load {
  readonly requests: number;
  /** Answers over 399, and connections that failed. */
  readonly failures: number;
  readonly requestsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

export interface Target {
  readonly url: string;
  readonly key: string;
  readonly directory: string;
}

const BODY_BYTES = 300;
const run = promisify(execFile);

function script(body: string, key: string): string {
  return `wrk.method = "POST"
wrk.body = ${JSON.stringify(body)}
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer ${key}"
function done(summary, latency)
  local e = summary.errors
  io.write(string.format('{"requests":%d,"failures":%d,"seconds":%.6f,"p50Us":%d,"p99Us":%d}\\n', summary.requests,
    e.connect + e.read + e.write + e.status + e.timeout, summary.duration / 1e6,
    latency:percentile(50), latency:percentile(99)))
end
`;
}

/** Loads `target` for `seconds` with as many connections as the scenario says, each sending as soon as it is answered. */
export async function drive(target: Target, scenario: Scenario, seconds: number): Promise<Load> {
  const file = join(target.directory, `${scenario.model}.lua`);
  writeFileSync(file, script(chatBody(scenario.model, BODY_BYTES).toString(), target.key));
  const args = ["-t1", `-c${scenario.connections}`, `-d${seconds}s`, "--timeout", "10s", "-s", file, target.url];
  const { stdout } = await run("wrk", args);
  const line = stdout.split("\n").find((text) => text.startsWith("{"));
  if (line === undefined) throw new Error(`wrk said nothing: ${stdout}`);
  const figures: Load & { seconds: number } = JSON.parse(line);
  return { ...figures, requestsPerSecond: figures.requests / figures.seconds };
}
