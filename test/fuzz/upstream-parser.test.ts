/**
 * The parser of upstream responses against node:http's: however a response is cut, the same is read; what ours accepts, node:http
 * accepts with the same meaning; what only ours refuses, it refuses on purpose.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { randomInt } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { parserAddon } from "../support/parser-addon.ts";
import { type ClientReading, PieceServer, readWithNodeHttp, readWithUndici } from "./http-clients.ts";
import { disagreement } from "./http-comparison.ts";
import { mutateResponse } from "./http-mutation.ts";
import { nativeReader, type Reader } from "./http-reading.ts";
import { HttpResponseMaker, type MadeResponse } from "./http-response-maker.ts";
import { Random } from "./random.ts";
import { randomCuts } from "./response-run.ts";
import { fuzz } from "./trials.ts";

const CLIENT_RESPONSES = 300;
/** undici takes 100 for an error, and does not expect blanks behind a Content-Length. */
const UNDICI_REFUSES = /^HTTP\/1\.1 100|^content-length:[^\r]*[ \t]\r/im;

describe("the parser of upstream responses", () => {
  let reader: Reader;
  before(async () => {
    reader = nativeReader(await parserAddon());
  });

  function check(random: Random, made: MadeResponse): void {
    const wrong = disagreement(reader, random, made);
    strictEqual(wrong, null, `${JSON.stringify(made.bytes.toString("latin1"))}\n${wrong}`);
  }

  it("reads every response that is framed as RFC 9112 says", () => {
    fuzz(3_000, (random) => {
      const made = new HttpResponseMaker(random).valid();
      check(random, made);
      const { outcome, reason } = reader({ ...made, cuts: [], closes: true });
      strictEqual(outcome, "end", `${JSON.stringify(made.bytes.toString("latin1"))}: ${reason}`);
    });
  });

  it("reads what it accepts of hostile responses as node:http does", () => {
    fuzz(10_000, (random) => check(random, new HttpResponseMaker(random).hostile()));
  });

  it("reads what it accepts of damaged responses as node:http does", () => {
    fuzz(10_000, (random) => check(random, mutateResponse(random, new HttpResponseMaker(random).valid())));
  });

  describe("and clients with sockets", () => {
    const server = new PieceServer();
    before(() => server.listen());
    after(() => server.close());

    async function checkClients(seed: number): Promise<boolean> {
      const random = new Random(seed);
      const maker = new HttpResponseMaker(random);
      const made = random.chance(0.5) ? maker.valid() : mutateResponse(random, maker.valid());
      const whole = { ...made, cuts: [], closes: true };
      const { left, outcome, head, body } = reader(whole);
      if (outcome !== "end") return false;
      const bytes = made.bytes.subarray(0, made.bytes.length - left);
      const delivery = { ...whole, bytes, cuts: randomCuts(random, bytes.length) };
      server.answerWith(delivery);
      const name = `seed ${seed}: ${JSON.stringify(bytes.toString("latin1"))}`;
      deepStrictEqual(await readWithNodeHttp(server.port, delivery), { outcome, head, body }, name);
      if (UNDICI_REFUSES.test(bytes.toString("latin1"))) return true;
      const theirs = await readWithUndici(server.port, delivery);
      deepStrictEqual(versionless(theirs), versionless({ outcome, head, body }), name);
      return true;
    }

    it("read what it accepts as it does", async () => {
      const first = randomInt(2 ** 31);
      let read = 0;
      for (let seed = first; seed < first + CLIENT_RESPONSES; seed += 1) if (await checkClients(seed)) read += 1;
      ok(read > CLIENT_RESPONSES / 3);
    });
  });
});

/** undici does not tell the version, on which it depends whether a connection is kept. */
function versionless({ outcome, head, body }: ClientReading): object {
  return { outcome, body, head: { ...head, reusable: null } };
}
