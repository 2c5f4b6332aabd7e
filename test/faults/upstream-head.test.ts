/** Upstream failures before the first byte went to the client. */
import { strictEqual } from "node:assert/strict";
import { describe, test } from "node:test";
import { ERRORS, type ErrorRow } from "../../src/base/errors.ts";
import { CREDENTIAL } from "../support/config.ts";
import { expectError, expectFailed } from "../support/expect-error.ts";
import { faultyConfig } from "../support/faulty-config.ts";
import { chat, streamChat } from "../support/http-client.ts";
import { type Stage, startStage } from "../support/stage.ts";
import { TRANSPORTS } from "../support/transport-names.ts";

for (const transport of TRANSPORTS) {
  describe(`over ${transport}`, async () => holds(await startStage((upstream) => faultyConfig(upstream, transport))));
}

function holds({ sluice }: Stage): void {
  const BY_MODEL: readonly [string, ErrorRow][] = [
    ["dead", ERRORS.upstreamUnreachable],
    ["untrusted", ERRORS.upstreamTls],
    ["not-tls", ERRORS.upstreamTls],
    ["silent", ERRORS.upstreamConnectTimeout],
  ];

  for (const [model, row] of BY_MODEL) {
    test(`${row.code}: the provider is ${model}`, async () => {
      const answer = await chat(sluice, "", { model, messages: [] });
      expectError(answer, row);
      const record = await expectFailed(sluice, answer.requestId, row);
      strictEqual(record.usage_source, "none");
    });
  }

  const BY_FAULT: readonly [string, ErrorRow][] = [
    ["garbage", ERRORS.upstreamProtocol],
    ["bad-content-length", ERRORS.upstreamProtocol],
    ["two-content-lengths", ERRORS.upstreamProtocol],
    ["length-and-chunked", ERRORS.upstreamProtocol],
    ["huge-header=200000", ERRORS.upstreamProtocol],
    ["reset-before-head", ERRORS.upstreamReset],
    ["close-before-head", ERRORS.upstreamReset],
    ["close-in-head", ERRORS.upstreamReset],
    ["stall-before-head", ERRORS.upstreamFirstByteTimeout],
    ["status-401-leaking", ERRORS.upstreamAuth],
  ];

  for (const [fault, row] of BY_FAULT) {
    for (const send of [chat, streamChat]) {
      test(`${row.code}: ${fault} (${send.name})`, async () => {
        const answer = await send(sluice, fault);
        expectError(answer, row);
        strictEqual(answer.text.includes(CREDENTIAL), false);
        const record = await expectFailed(sluice, answer.requestId, row);
        strictEqual(record.status, row.status);
      });
    }
  }

  test("after each of them the gateway serves the next request", async () => {
    strictEqual((await chat(sluice)).status, 200);
  });
}
