/** A thousand refusals of routes and targets, which leave nothing behind. */
import { after, test } from "node:test";
import { ERRORS, type ErrorRow } from "../../src/base/errors.ts";
import {
  CONDITIONAL_KEYS,
  CONDITIONAL_MODELS,
  REFUSED_REQUESTS,
  type RefusedRequest,
} from "../support/conditional-models.ts";
import { LeakCheck, repeatRequest, together } from "../support/leak.ts";
import { requestBytes } from "../support/raw-request.ts";
import { Sluice } from "../support/sluice.ts";
import { Upstream } from "../support/upstream.ts";

const CLIENTS = 50;

const upstream = await Upstream.start();
const sluice = await Sluice.start(upstream, { models: CONDITIONAL_MODELS, keys: CONDITIONAL_KEYS });
after(async () => {
  await sluice.stop();
  await upstream.stop();
});

const ROWS: [string, RefusedRequest, ErrorRow][] = [
  ["no route", REFUSED_REQUESTS.noRoute, ERRORS.noRoute],
  ["no room for the answer", REFUSED_REQUESTS.contextTooLong, ERRORS.contextTooLong],
  ["tools that are not supported", REFUSED_REQUESTS.unsupported, ERRORS.unsupported],
  ["a choice that the key does not permit", REFUSED_REQUESTS.overrideNotAllowed, ERRORS.overrideNotAllowed],
  ["a choice of nothing", REFUSED_REQUESTS.overrideInvalid, ERRORS.overrideInvalid],
];

for (const [what, request, row] of ROWS) {
  test(`a thousand times: ${what}`, async () => {
    const bytes = requestBytes(request);
    const check = await LeakCheck.begin(sluice);
    const repeat = (times: number) =>
      together(CLIENTS, () =>
        repeatRequest(sluice, bytes, async (one) => void (await one.response()), times / CLIENTS),
      );
    await check.thousandTimes(async (times) => void (await repeat(times)), row);
  });
}
