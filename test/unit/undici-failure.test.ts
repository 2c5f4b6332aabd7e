/** Which row of the error table an error of undici, a socket or TLS is. */
import { strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { errors } from "undici";
import { ERRORS, type ErrorRow } from "../../src/base/errors.ts";
import { failureOf } from "../../src/upstream/undici-failure.ts";

function coded(code: string, message = ""): Error {
  return Object.assign(new Error(message), { code });
}

const HANDSHAKE = "Client network socket disconnected before secure TLS connection was established";

const CASES: [unknown, boolean, ErrorRow][] = [
  [coded("ECONNREFUSED"), false, ERRORS.upstreamUnreachable],
  [coded("ENOTFOUND"), false, ERRORS.upstreamUnreachable],
  [coded("ECONNRESET"), false, ERRORS.upstreamUnreachable],
  [coded("ECONNRESET", HANDSHAKE), false, ERRORS.upstreamTls],
  [coded("ECONNRESET"), true, ERRORS.upstreamReset],
  [coded("EPIPE"), true, ERRORS.upstreamReset],
  [new errors.SocketError("other side closed"), true, ERRORS.upstreamReset],
  [coded("ETIMEDOUT"), false, ERRORS.upstreamConnectTimeout],
  [coded("ETIMEDOUT"), true, ERRORS.upstreamReset],
  [new AggregateError([coded("ECONNREFUSED")]), false, ERRORS.upstreamUnreachable],
  [coded("CERT_HAS_EXPIRED"), false, ERRORS.upstreamTls],
  [coded("ERR_TLS_CERT_ALTNAME_INVALID"), false, ERRORS.upstreamTls],
  [coded("ERR_SSL_WRONG_VERSION_NUMBER"), false, ERRORS.upstreamTls],
  [coded("HPE_INVALID_VERSION"), true, ERRORS.upstreamProtocol],
  [new errors.HeadersOverflowError(), true, ERRORS.upstreamProtocol],
  [new errors.ResponseContentLengthMismatchError(), true, ERRORS.upstreamProtocol],
  [new errors.SocketError("bad response"), true, ERRORS.upstreamProtocol],
  [new errors.InvalidArgumentError("invalid header key"), false, ERRORS.invalidHeader],
  ["text", false, ERRORS.upstreamUnreachable],
  [undefined, true, ERRORS.upstreamReset],
  [Object.assign(new Error(), { code: 7 }), true, ERRORS.upstreamReset],
];

for (const [error, connected, row] of CASES) {
  const name = error instanceof Error && "code" in error ? `${error.name} ${error.code}` : String(error);
  test(`${name} ${connected ? "on a connection" : "before there is one"}: ${row.code}`, () =>
    strictEqual(failureOf(error, connected), row));
}
