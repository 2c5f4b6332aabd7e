/** Upstream failures in the middle of the answer: an error event on a stream, a cut otherwise; never a silent end. */
import { strictEqual } from "node:assert/strict";
import { describe, test } from "node:test";
import { ERRORS, type ErrorRow } from "../../src/base/errors.ts";
import { expectErrorObject, lastEvent } from "../support/expect-error.ts";
import { faultyConfig } from "../support/faulty-config.ts";
import { RawClient } from "../support/raw-client.ts";
import { CHAT_BODY, requestBytes, STREAM_BODY } from "../support/raw-request.ts";
import type { RawResponse } from "../support/raw-response.ts";
import { type Stage, startStage } from "../support/stage.ts";
import { TRANSPORTS } from "../support/transport-names.ts";

for (const transport of TRANSPORTS) {
  describe(`over ${transport}`, async () => holds(await startStage((upstream) => faultyConfig(upstream, transport))));
}

function holds({ sluice }: Stage): void {
  async function send(fault: string, body: string, id: string): Promise<RawResponse | null> {
    const client = await RawClient.connect(sluice.port);
    await client.send(requestBytes({ body, headers: { "x-mock": fault, "x-request-id": id } }));
    const response = await client.response();
    client.leave();
    return response;
  }

  const FAULTS: readonly [string, ErrorRow][] = [
    ["cut-mid-stream", ERRORS.upstreamCut],
    ["fin-mid-stream", ERRORS.upstreamCut],
    ["bad-chunk", ERRORS.upstreamCut],
    ["early-end", ERRORS.upstreamCut],
    ["close-delimited-cut", ERRORS.upstreamCut],
    ["stall-mid-stream", ERRORS.upstreamIdleTimeout],
    ["drip=50", ERRORS.upstreamTotalTimeout],
  ];

  for (const [fault, row] of FAULTS) {
    test(`${row.code} on a stream: ${fault}`, async () => {
      const id = `stream-${fault}`;
      const response = await send(fault, STREAM_BODY, id);
      const text = response?.body.toString() ?? "";
      strictEqual(response?.status, 200);
      strictEqual(text.includes(" brown"), true, text);
      strictEqual(text.includes("[DONE]"), false);
      expectErrorObject(lastEvent(text), row);
      const record = await sluice.recordOf(id);
      strictEqual(record.error, row.code);
      strictEqual(record.usage_source, "estimated");
    });
  }

  for (const fault of ["cut-mid-stream", "fin-mid-stream", "close-delimited-cut", "chunked,cut-mid-stream"]) {
    test(`an answer that is not a stream is cut or refused, never passed as whole: ${fault}`, async () => {
      const id = `json-${fault.replace(",", "-")}`;
      const response = await send(fault, CHAT_BODY, id);
      const whole = response?.complete === true && response.status === 200;
      strictEqual(whole, false, response?.body.toString());
      strictEqual((await sluice.recordOf(id)).error, ERRORS.upstreamCut.code);
    });
  }

  test("a stall in an answer that is not a stream", async () => {
    const response = await send("stall-mid-stream", CHAT_BODY, "json-stall");
    strictEqual(response?.complete === true && response.status === 200, false);
    strictEqual((await sluice.recordOf("json-stall")).error, ERRORS.upstreamIdleTimeout.code);
  });

  test("a close-delimited stream with its [DONE] is whole", async () => {
    const response = await send("close-delimited", STREAM_BODY, "close-delimited");
    strictEqual(response?.complete, true);
    strictEqual(response.body.toString().endsWith("data: [DONE]\n\n"), true);
    strictEqual((await sluice.recordOf("close-delimited")).error, null);
  });

  test("an error event of the provider itself passes, and nothing is added", async () => {
    const response = await send("error-event", STREAM_BODY, "error-event");
    strictEqual(lastEvent(response?.body.toString() ?? "").error["code"], "busy");
  });
}
