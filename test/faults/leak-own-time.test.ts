/** A thousand requests that are over when the time is that they gave themselves, at a provider that hangs or while they send: nothing is left of them. */
import { after, test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import { hashOf, KEY } from "../support/config.ts";
import { LeakCheck, repeatRequest, together } from "../support/leak.ts";
import { requestBytes } from "../support/raw-request.ts";
import { Sluice } from "../support/sluice.ts";
import { Upstream } from "../support/upstream.ts";

const CLIENTS = 100;
const UNSENT_BYTES = 10;

const upstream = await Upstream.start();
const sluice = await Sluice.start(upstream, {
  keys: [{ name: "default", hash: hashOf(KEY), overrides: ["timeout"] }],
  timeouts: { drain: "5s", first_byte: "10m", total: "10m" },
});
after(async () => {
  await sluice.stop();
  await upstream.stop();
});

const hanging = requestBytes({ headers: { "x-sluice-timeout-ms": "1", "x-mock": "stall-before-head" } });

for (const [what, bytes, row] of [
  ["a provider hangs", hanging, ERRORS.upstreamTotalTimeout],
  ["a body that is not whole", hanging.subarray(0, -UNSENT_BYTES), ERRORS.bodyTimeout],
] as const) {
  test(`a thousand times: ${what}, and the request's own time is over`, async () => {
    const check = await LeakCheck.begin(sluice);
    await check.thousandTimes(
      async (times) =>
        void (await together(CLIENTS, () =>
          repeatRequest(sluice, bytes, async (one) => void (await one.response()), times / CLIENTS),
        )),
      row,
    );
  });
}
