/**
 * The native connections to providers under random use: requests before and behind the handshake, responses cut anywhere, hostile and
 * damaged ones, answers before the body was read, ends and resets, pauses and closes at any moment, bodies of requests that come piece
 * by piece. What JavaScript is told is what the parser reads in the bytes, and nothing of one request is told of another.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { randomInt } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { DEFAULT_CIPHERS } from "node:tls";
import { inspect } from "node:util";
import { native } from "../../src/native/native.ts";
import { FLAG_CHUNKED, FLAG_CLOSE_DELIMITED } from "../../src/native/upstream.ts";
import { Link, type Told } from "../support/native-upstream.ts";
import { parserAddon } from "../support/parser-addon.ts";
import { within } from "../support/until.ts";
import { CuttingProxy } from "./cutting-proxy.ts";
import { mutateResponse } from "./http-mutation.ts";
import { type Head, nativeReader, type Reader, type Reading } from "./http-reading.ts";
import { HttpResponseMaker } from "./http-response-maker.ts";
import { Random } from "./random.ts";
import { randomCuts } from "./response-run.ts";
import { type Script, ScriptedServer } from "./scripted-server.ts";

const USERS = 20;
const BODY_BYTES = [0, 1, 1_000, 20_000, 400_000];
const DROPPED = ["connection", "content-length", "transfer-encoding", "x-request-id"];

function fixture(name: string): string {
  return readFileSync(new URL(`../fixtures/tls/test-only-${name}.pem`, import.meta.url), "utf8");
}

interface Plan extends Script {
  readonly headRequest: boolean;
  readonly requestBody: Buffer;
  readonly expected: Reading;
  /** Records after which the connection is closed here; -1: never. */
  readonly closesAfter: number;
}

interface Heard {
  readonly told: readonly Told[];
  /** It closed the connection before its end. */
  readonly closed: boolean;
}

function planOf(random: Random, reader: Reader): Plan {
  const maker = new HttpResponseMaker(random);
  const made = random.chance(0.7)
    ? maker.valid()
    : random.chance(0.5)
      ? mutateResponse(random, maker.valid())
      : maker.hostile();
  const { bytes, headRequest } = made;
  const ends = random.pick(["keep", "keep", "end", "reset"] as const);
  const open = reader({ bytes, cuts: [], headRequest, closes: false });
  const early = random.chance(0.1);
  const then = ends === "keep" && (open.outcome === "more" || early) ? "end" : ends;
  const expected = then === "end" ? reader({ bytes, cuts: [], headRequest, closes: true }) : open;
  const cuts = random.chance(0.5) ? [] : randomCuts(random, bytes.length).slice(0, 20);
  const pieces = [...cuts, bytes.length]
    .map((to, i, all) => bytes.subarray(all[i - 1] ?? 0, to))
    .filter(({ length }) => length > 0);
  const requestBody = Buffer.alloc(random.pick(BODY_BYTES), random.below(256));
  const closesAfter = random.chance(0.1) ? random.below(4) : -1;
  return { pieces, then, early, requestBody, headRequest, expected, closesAfter };
}

/** Fills a body and releases what it has filled, in pieces, until all of it is there or `isOver` says that nobody wants it. */
function grow(random: Random, link: Link, { whole, body, ready }: Growth, isOver: () => boolean): void {
  if (isOver() || ready === whole.length) return;
  const end = Math.min(whole.length, ready + 1 + random.below(random.pick([10, 5_000, 100_000])));
  whole.copy(body, ready, ready, end);
  native.upstreamRelease(link.id, end);
  const next = () => grow(random, link, { whole, body, ready: end }, isOver);
  if (random.chance(0.5) && end > 1_000) next();
  else setImmediate(next);
}

interface Growth {
  readonly whole: Buffer;
  readonly body: Buffer;
  /** How much of it is there. */
  readonly ready: number;
}

/** What is there of a body when it is sent. */
function growthOf(random: Random, whole: Buffer): Growth {
  if (random.chance(0.5)) return { whole, body: whole, ready: whole.length };
  const ready = random.below(whole.length + 1);
  const body = Buffer.alloc(whole.length);
  whole.copy(body, 0, 0, ready);
  return { whole, body, ready };
}

/** The told response in the form of a reading. */
function readingOf(told: readonly Told[]): Pick<Reading, "outcome" | "head" | "body"> {
  const last = told.at(-1);
  const head = told.find((one) => one.kind === "head");
  const bodies = told.flatMap((one) => (one.kind === "body" ? [one.bytes] : []));
  const outcome = last?.kind === "end" ? "end" : "error";
  return { outcome, head: head === undefined ? null : headOf(head), body: Buffer.concat(bodies).toString("latin1") };
}

function headOf(head: Extract<Told, { kind: "head" }>): Head {
  const { status, flags, lines, contentType, contentEncoding, requestId } = head;
  const chunked = (flags & FLAG_CHUNKED) !== 0;
  const closeDelimited = (flags & FLAG_CLOSE_DELIMITED) !== 0;
  const contentLength = Number(head.contentLength);
  return {
    status,
    reusable: false,
    chunked,
    closeDelimited,
    contentLength,
    lines,
    contentType,
    contentEncoding,
    requestId,
  };
}

for (const { name, secure, cut, requests } of [
  { name: "TCP", secure: false, cut: false, requests: 400 },
  { name: "TLS", secure: true, cut: false, requests: 400 },
  { name: "TLS whose records come in parts", secure: true, cut: true, requests: 100 },
]) {
  describe(`connections over ${name}`, () => {
    const server = new ScriptedServer(secure ? { key: fixture("server.key"), cert: fixture("server") } : null);
    const idle: Link[] = [];
    /** What came last over them ends them. */
    const ending = new WeakSet<Link>();
    const proxy = new CuttingProxy(new Random(randomInt(2 ** 30)), () => server.port);
    let context = -1;
    let reader: Reader;
    before(async () => {
      reader = nativeReader(await parserAddon(), DROPPED);
      if (secure) context = native.upstreamTls(fixture("ca"), "", "", DEFAULT_CIPHERS);
      await server.listen();
      await proxy.listen();
    });
    after(() => {
      proxy.close();
      server.close();
    });

    /** A connection that is idle, or a new one, at times before it is connected. */
    async function linkFor(random: Random): Promise<Link> {
      while (idle.length > 0 && random.chance(0.8)) {
        const link = idle.pop();
        if (link?.told.at(-1)?.kind === "end") return link;
      }
      const link = new Link({ port: cut ? proxy.port : server.port, context });
      if (random.chance(0.5)) await link.next("connected");
      return link;
    }

    /** Everything it is told of one request; pauses and goes on at random. */
    function hear(random: Random, link: Link, closesAfter: number): Promise<Heard> {
      const told: Told[] = [];
      return new Promise((resolve) => {
        link.onTold = (one) => {
          if (one.kind !== "connected") told.push(one);
          const over =
            one.kind === "end" || one.kind === "fail" || one.kind === "connect failed" || one.kind === "closed";
          if (over) resolve({ told, closed: false });
          else if (told.length === closesAfter) {
            link.close();
            resolve({ told, closed: true });
          } else if (random.chance(0.2)) {
            link.pause(true);
            setImmediate(() => link.pause(false));
          }
          if (over) link.onTold = null;
        };
        if (closesAfter === 0) {
          setImmediate(() => {
            link.close();
            resolve({ told, closed: true });
          });
        }
      });
    }

    async function request(seed: number): Promise<void> {
      const random = new Random(seed);
      const plan = planOf(random, reader);
      server.scripts.set(seed, plan);
      const link = await linkFor(random);
      const doubtful = ending.has(link);
      const heard = hear(random, link, plan.closesAfter);
      const { requestBody, headRequest } = plan;
      const head = `${headRequest ? "HEAD" : "POST"} /${seed} HTTP/1.1\r\nhost: x\r\ncontent-length: ${requestBody.length}\r\n\r\n`;
      const growth = growthOf(random, requestBody);
      if (!link.send(head, growth.body, headRequest, growth.ready)) return;
      let over = false;
      grow(random, link, growth, () => over);
      const { told, closed } = await within(`the response of seed ${seed}`, heard);
      over = true;
      if (!closed) check(seed, plan, told, doubtful);
      const last = told.at(-1);
      // More than was asked for could be taken for the next response: nobody can tell them apart.
      if (plan.expected.left > 0) link.close();
      else if (last?.kind === "end" && last.reusable) idle.push(link);
      if (plan.then !== "keep") ending.add(link);
      server.scripts.delete(seed);
    }

    function check(seed: number, plan: Plan, told: readonly Told[], doubtful: boolean): void {
      const name = `seed ${seed}, ${plan.then}${plan.early ? ", early" : ""}: ${inspect(told)}`;
      const { outcome, head, body } = readingOf(told);
      const { expected } = plan;
      const last = told.at(-1);
      // The connection was about to end when the request was sent.
      if (doubtful && (last?.kind === "closed" || last?.kind === "fail")) return;
      if (plan.then === "reset" && outcome === "error") {
        ok(expected.body.startsWith(body), name);
        return;
      }
      strictEqual(outcome, expected.outcome === "end" ? "end" : "error", name);
      if (head !== null || expected.head !== null) deepStrictEqual(head, { ...expected.head, reusable: false }, name);
      strictEqual(body, expected.body, name);
      if (last?.kind === "end" && last.reusable) ok(expected.head?.reusable, name);
      if (last?.kind === "end" && !last.reusable && !plan.early)
        ok(!expected.head?.reusable || expected.left > 0, name);
    }

    it("tell what comes over them", async () => {
      const first = randomInt(2 ** 30);
      let next = 0;
      const user = async () => {
        while (next < requests) {
          next += 1;
          await request(first + next);
        }
      };
      await Promise.all(Array.from({ length: USERS }, user));
      deepStrictEqual(server.faults, []);
      for (const link of idle) link.close();
      strictEqual(native.upstreamConnections(), 0);
    });
  });
}
