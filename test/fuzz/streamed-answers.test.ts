/**
 * Answers in chunks of random sizes, to readers that stop and go on at random, several on one connection: the framing of each is right,
 * and every byte arrives once, whatever the socket takes at a time.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { randomInt } from "node:crypto";
import { connect, type Socket } from "node:net";
import { after, test } from "node:test";
import { ChunkReader } from "../support/chunk-reader.ts";
import { requestBytes } from "../support/raw-request.ts";
import { RequestPath, ScriptedProvider } from "../support/request-path.ts";
import { until, within } from "../support/until.ts";
import { Random } from "./random.ts";

const SIZES = [1, 2, 15, 16, 255, 256, 4_095, 4_096, 15_360, 16_384, 65_535, 65_536, 131_072, 400_000];
/** Enough that sockets and kernel cannot hold the larger answers. */
const CHUNKS_MAX = 600;
const CONNECTIONS = 4;
const ANSWERS = 3;
/** Turns of the loop. */
const RESTS_MAX = 300;
const HEAD = "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const NOISE = Buffer.from(Array.from({ length: 60_000 }, (_, line) => `${line}`.padStart(8, ".")).join(""));

/** What the provider sends for a request for the file of this number: more than would go on as one piece with a length. */
function chunksOf(file: number): Buffer[] {
  const random = new Random(file);
  const chunks = random.several(CHUNKS_MAX, () => {
    const start = random.below(8_192);
    return NOISE.subarray(start, start + random.pick(SIZES));
  });
  return [NOISE.subarray(0, 20_000), ...chunks];
}

/** Some of them together, some in a turn of their own. */
async function serve(socket: Socket, file: number): Promise<void> {
  const random = new Random(file);
  socket.write(HEAD);
  for (const chunk of chunksOf(file)) {
    socket.write(`${chunk.length.toString(16)}\r\n`);
    socket.write(chunk);
    socket.write("\r\n");
    if (random.chance(0.5)) await new Promise((resolve) => setImmediate(resolve));
  }
  socket.write("0\r\n\r\n");
}

const provider = await ScriptedProvider.start((socket, received) => {
  if (received.toString("latin1", received.length - 4) !== "\r\n\r\n") return;
  const asked = /files\/(\d+)\/content HTTP\/1\.1\r\n(?!.*files\/)/s.exec(received.toString("latin1"));
  void serve(socket, Number(asked?.[1]));
});
const path = await RequestPath.start(provider);
after(() => {
  path.stop();
  provider.stop();
});

/** Stops in front of some of what arrives, for a few turns of the loop. */
function rest(socket: Socket, turns: number): void {
  if (turns === 0) socket.resume();
  else setImmediate(() => rest(socket, turns - 1));
}

/** Resolves with the body of the next answer, whole, and nothing behind it. */
function answerOn(socket: Socket): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks = new ChunkReader();
  const body: Buffer[] = [];
  let head = "";
  const take = (bytes: Buffer): void => {
    const headBytes = head.endsWith("\r\n\r\n") ? 0 : bytes.indexOf("\r\n\r\n") + 4;
    head += bytes.toString("latin1", 0, headBytes);
    body.push(...chunks.read(bytes.subarray(headBytes)));
    if (!chunks.ended) return;
    strictEqual(chunks.rest.length, 0);
    socket.off("data", take);
    resolve(Buffer.concat(body));
  };
  socket.on("data", take);
  socket.once("close", () => reject(new Error("the answer was cut")));
  return promise;
}

async function readConnection(seed: number): Promise<void> {
  const random = new Random(seed);
  const socket = connect(path.port, "127.0.0.1");
  socket.on("data", () => {
    if (!random.chance(0.3)) return;
    socket.pause();
    rest(socket, random.below(RESTS_MAX));
  });
  for (let answer = 0; answer < ANSWERS; answer += 1) {
    const file = random.below(2 ** 31);
    const target = `/v1/files/${file}/content`;
    socket.write(requestBytes({ method: "GET", target, body: "", headers: { "content-length": "" } }));
    const body = await within("an answer", answerOn(socket));
    ok(body.equals(Buffer.concat(chunksOf(file))));
  }
  socket.destroy();
}

test("every byte of an answer in chunks arrives once, and the connection goes on", async () => {
  const seed = Number(process.env["SLUICE_FUZZ_SEED"] ?? randomInt(2 ** 31));
  const connections = Array.from({ length: CONNECTIONS }, (_, index) => readConnection(seed + index));
  await Promise.all(connections).catch((cause: unknown) => {
    throw new Error(`repeat with SLUICE_FUZZ_SEED=${seed}`, { cause });
  });
  await until("nothing is in flight", () => path.pipeline.inFlight === 0);
});

test("the reader of chunks takes none that is not right", () => {
  const wrong = [
    "5\r\nhello",
    "5\r\nhell\r\n",
    "5\r\nhellos\r\n",
    "\r\n5\r\nhello\r\n",
    "5;x\r\nhello\r\n",
    "-1\r\n\r\n",
  ];
  const taken = wrong.filter((text) => {
    try {
      return new ChunkReader().read(Buffer.from(text)).length > 0;
    } catch {
      return false;
    }
  });
  deepStrictEqual(taken, []);
});
