/** Which failures another try may follow, and how long a provider wants to be left alone. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import { FAILURES } from "../../src/config/snapshot.ts";
import { failureOf, failureOfStatus, retryAfterMs } from "../../src/pipeline/failure.ts";

const nameOf = (bit: number) => (bit === 0 ? "none" : (FAILURES[31 - Math.clz32(bit)] ?? "?"));

test("failures of a connection, an answer and a provider's patience have their kinds; what a client did has none", () => {
  const kinds = Object.values(ERRORS).map((error) => [error.code, nameOf(failureOf(error))] as const);
  deepStrictEqual(
    kinds.filter(([, kind]) => kind !== "none"),
    [
      ["upstream_queue_full", "connect"],
      ["upstream_queue_timeout", "connect"],
      ["upstream_unreachable", "connect"],
      ["upstream_tls_failed", "connect"],
      ["upstream_connect_timeout", "connect"],
      ["upstream_protocol_error", "reset"],
      ["upstream_reset", "reset"],
      ["upstream_first_byte_timeout", "timeout"],
      ["upstream_cut", "reset"],
      ["upstream_idle_timeout", "timeout"],
    ],
  );
  const statuses = [200, 400, 401, 403, 404, 407, 422, 429, 500, 503, 529];
  deepStrictEqual(statuses.map(failureOfStatus).map(nameOf), [
    ...["none", "none", "credential", "none", "none", "credential", "none"],
    ...["rate_limit", "server_error", "server_error", "server_error"],
  ]);
});

test("Retry-After in its three forms", () => {
  const wallMs = Date.parse("2026-01-01T00:00:00Z");
  const cases: [string, number][] = [
    ["\r\nx: y\r\nretry-after: 7\r\nz: 1", 7_000],
    ["\r\nretry-after: Thu, 01 Jan 2026 00:00:30 GMT", 30_000],
    ["\r\nretry-after: Wed, 31 Dec 2025 23:59:00 GMT", 0],
    ["\r\nretry-after: 7\r\nretry-after-ms: 250", 250],
    ["\r\nretry-after: soon", 0],
    ["\r\nretry-after: -5", 0],
    ["\r\nx-retry-after: 5", 0],
    ["", 0],
  ];
  for (const [lines, expected] of cases) strictEqual(retryAfterMs(lines, wallMs), expected, lines);
});
