/** What the file says of health checks of a provider. Supervisor and command line. Pure. */
import type { z } from "zod";
import {
  HEALTH_CHECK_AFTER_MAX,
  HEALTH_CHECK_HEALTHY_AFTER_DEFAULT,
  HEALTH_CHECK_INTERVAL_MS_DEFAULT,
  HEALTH_CHECK_INTERVAL_MS_MAX,
  HEALTH_CHECK_INTERVAL_MS_MIN,
  HEALTH_CHECK_TIMEOUT_MS_DEFAULT,
  HEALTH_CHECK_TIMEOUT_MS_MIN,
  HEALTH_CHECK_UNHEALTHY_AFTER_DEFAULT,
} from "../base/limits.ts";
import { type Finding, findingAt } from "./finding.ts";
import { Refusal, readDuration, readInteger } from "./scalar.ts";
import type { ProviderForm } from "./schema.ts";
import { mapping, scalar } from "./shape.ts";

/** Of statuses, both included. */
export interface StatusRange {
  readonly from: number;
  readonly to: number;
}

export interface HealthCheckConfig {
  /** Path and query: behind the path of the base URL, or of the host where that has "{model}". */
  readonly path: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly unhealthyAfter: number;
  readonly healthyAfter: number;
  readonly status: StatusRange;
}

const PATH = /^\/[\x21\x24-\x7e]{0,1023}$/;
const RANGE = /^([1-5]\d\d)(?:-([1-5]\d\d))?$/;

function readCheckPath(text: string): string | Refusal {
  return PATH.test(text) ? text : new Refusal("expected a path that begins with /, such as /models");
}

function readStatusRange(text: string): StatusRange | Refusal {
  const [, from = "", to = from] = RANGE.exec(text) ?? [];
  if (from !== "" && to >= from) return { from: Number(from), to: Number(to) };
  return new Refusal("expected one status or a range of them, such as 200 or 200-399");
}

const duration = (defaultMs: number, minMs: number) =>
  scalar(readDuration(minMs, HEALTH_CHECK_INTERVAL_MS_MAX)).meta({ expects: "duration" }).default(defaultMs);
const count = (byDefault: number) =>
  scalar(readInteger(1, HEALTH_CHECK_AFTER_MAX))
    .meta({ expects: `1 to ${HEALTH_CHECK_AFTER_MAX}` })
    .default(byDefault);

export const HEALTH_CHECK = mapping({
  path: scalar(readCheckPath)
    .meta({ expects: "path" })
    .default("/models")
    .describe("What is asked for, by GET: behind base_url, or behind its host where base_url has {model}."),
  interval: duration(HEALTH_CHECK_INTERVAL_MS_DEFAULT, HEALTH_CHECK_INTERVAL_MS_MIN).describe(
    "Between two checks, give or take a tenth; of all workers, one makes each.",
  ),
  timeout: duration(HEALTH_CHECK_TIMEOUT_MS_DEFAULT, HEALTH_CHECK_TIMEOUT_MS_MIN).describe(
    "For the beginning of the answer, connecting included; at most the interval.",
  ),
  unhealthy_after: count(HEALTH_CHECK_UNHEALTHY_AFTER_DEFAULT).describe("So many failures in a row make it unhealthy."),
  healthy_after: count(HEALTH_CHECK_HEALTHY_AFTER_DEFAULT).describe(
    "So many successes in a row make it healthy again.",
  ),
  status: scalar(readStatusRange)
    .meta({ expects: "status or range" })
    .default({ from: 200, to: 399 })
    .describe("Of an answer that is a success."),
});

export function healthCheckOf(form: z.output<typeof HEALTH_CHECK> | undefined): HealthCheckConfig | null {
  if (form === undefined) return null;
  return {
    path: form.path,
    intervalMs: form.interval,
    timeoutMs: form.timeout,
    unhealthyAfter: form.unhealthy_after,
    healthyAfter: form.healthy_after,
    status: form.status,
  };
}

/** One check is over before the next one begins. */
export function checkHealthCheck(name: string, provider: ProviderForm): readonly Finding[] {
  const check = provider.type === "demo" ? undefined : provider.health_check;
  if (check === undefined || check.timeout <= check.interval) return [];
  return [findingAt(["providers", name, "health_check", "timeout"], "this must not be longer than the interval")];
}
