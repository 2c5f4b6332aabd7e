/** Answers whose framing was taken from uWebSockets.js: the bytes are ours, and the rest of its rules stays. */
import { App, type HttpResponse } from "uWebSockets.js";
import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { native } from "../../src/native/native.ts";
import { RawClient } from "../support/raw-client.ts";
import { until, within } from "../support/until.ts";
import { listen } from "../support/uws-port.ts";

const GET = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";
const GET_AND_CLOSE = "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
const ANSWER = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";

type Handler = (response: HttpResponse) => void;
let handle: Handler = () => undefined;
const app = App().any("/*", (response) => {
  response.onAborted(() => undefined);
  handle(response);
});
const port = await listen(app);

/** Sends the request, and waits until it is handled. */
async function send(client: RawClient, request: string, handler: Handler): Promise<void> {
  const handled = new Promise<void>((resolve) => {
    handle = (response) => {
      handler(response);
      resolve();
    };
  });
  await client.send(request);
  await within("the request", handled);
}

function answerWhole(response: HttpResponse): [boolean, boolean] {
  let result: [boolean, boolean] = [false, false];
  response.cork(() => {
    result = response.tryEnd(ANSWER, ANSWER.length);
  });
  return result;
}

test("what tryEnd gets is what the client gets, and the connection serves on", async () => {
  const client = await RawClient.connect(port);
  for (let turn = 1; turn <= 3; turn += 1) {
    await send(client, GET, (response) => {
      native.takeFraming(response, false);
      strictEqual(response.getWriteOffset(), 0);
      deepStrictEqual(answerWhole(response), [true, true]);
    });
    await until("all is there", () => client.bytes().length === turn * ANSWER.length);
  }
  strictEqual(client.bytes().toString(), ANSWER.repeat(3));
  client.leave();
});

for (const [what, request, closes] of [
  ["by the gateway", GET, true],
  ["by the client", GET_AND_CLOSE, false],
  ["by both", GET_AND_CLOSE, true],
] as const) {
  test(`the connection ends behind an answer when that is wished ${what}`, async () => {
    const client = await RawClient.connect(port);
    await send(client, request, (response) => {
      native.takeFraming(response, closes);
      answerWhole(response);
    });
    await within("its end", client.closed);
    deepStrictEqual([client.bytes().toString(), client.ended], [ANSWER, true]);
  });
}

test("the offset counts every byte, taken at once or not", async () => {
  const client = await RawClient.connect(port);
  client.socket.pause();
  const large = Buffer.alloc(32_000_000, "x");
  let taken = -1;
  await send(client, GET, (response) => {
    native.takeFraming(response, false);
    response.cork(() => {
      deepStrictEqual(response.tryEnd(large, large.length), [false, false]);
      taken = response.getWriteOffset();
    });
  });
  client.socket.resume();
  await until("what was taken is there", () => client.bytes().length === taken);
  ok(taken > 0 && taken < large.length);
  client.leave();
});

/** None of them is one that waits for its beginning. */
const OTHERS: Record<string, Handler> = {
  "whose framing was taken": (response) => native.takeFraming(response, false),
  "that was begun": (response) => response.cork(() => response.writeStatus("200 OK")),
  "that is written in chunks": (response) => response.cork(() => response.write("x")),
  "that is written in part": (response) => response.cork(() => response.tryEnd("x", 2)),
  "that ended": (response) => response.cork(() => response.end()),
  "that was closed": (response) => response.close(),
};

for (const [what, begin] of Object.entries(OTHERS)) {
  test(`a response ${what} is left alone`, async () => {
    const client = await RawClient.connect(port);
    await send(client, GET, (response) => {
      begin(response);
      throws(() => native.takeFraming(response, false), /waits for its beginning/);
    });
    client.leave();
  });
}

test("a response whose client left, and what is none, are refused", async () => {
  const client = await RawClient.connect(port);
  let aborted: HttpResponse | null = null;
  await send(client, GET, (response) => {
    response.onAborted(() => {
      aborted = response;
    });
  });
  client.leave();
  await until("it was told", () => aborted !== null);
  for (const other of [aborted, {}, [], null, 1, "response"]) {
    throws(() => Reflect.apply(native.takeFraming, native, [other, false]), /waits for its beginning/);
  }
});
