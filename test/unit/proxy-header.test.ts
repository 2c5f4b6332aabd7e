/** The PROXY protocol's header: both versions, in pieces, and what is none. */
import { deepEqual, equal } from "node:assert/strict";
import { describe, test } from "node:test";
import { addressBytesOf } from "../../src/base/address.ts";
import { proxyHeaderFor, readProxyHeader } from "../../src/http/proxy-header.ts";

const V4 = Uint8Array.of(192, 0, 2, 7);
const V6 = Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9);
const NONE = new Uint8Array(0);

function binary(command: number, family: number, body: readonly number[] | Uint8Array, length = body.length): Buffer {
  const head = Buffer.from("\r\n\r\n\0\r\nQUIT\n\0\0\0\0", "latin1");
  head.set([command, family, length >> 8, length & 255], 12);
  return Buffer.concat([head, Uint8Array.from(body)]);
}

const FOUR = binary(0x21, 0x11, [...V4, 10, 0, 0, 1, 0, 80, 31, 145]);

describe("version 2", () => {
  test("TCP over IPv4 and IPv6", () => {
    deepEqual(readProxyHeader(FOUR), { bytes: 28, address: V4 });
    deepEqual(readProxyHeader(proxyHeaderFor(V6)), { bytes: 52, address: V6 });
  });

  test("extensions are passed over, and so is what follows", () => {
    const header = binary(0x21, 0x11, [...FOUR.subarray(16), 3, 0, 4, 1, 2, 3, 4]);
    deepEqual(readProxyHeader(Buffer.concat([header, Buffer.from("GET /")])), { bytes: 35, address: V4 });
  });

  test("LOCAL and other families have no address", () => {
    deepEqual(readProxyHeader(binary(0x20, 0, [])), { bytes: 16, address: NONE });
    deepEqual(readProxyHeader(binary(0x20, 0x11, FOUR.subarray(16))), { bytes: 28, address: NONE });
    deepEqual(readProxyHeader(binary(0x21, 0x31, new Array(216).fill(0))), { bytes: 232, address: NONE });
  });

  test("every beginning of it is partial", () => {
    for (let length = 0; length < FOUR.length; length += 1) equal(readProxyHeader(FOUR.subarray(0, length)), "partial");
  });

  test("other versions, unknown commands, addresses that do not fit, and too much are refused", () => {
    equal(readProxyHeader(binary(0x11, 0x11, FOUR.subarray(16))), "invalid");
    equal(readProxyHeader(binary(0x22, 0x11, FOUR.subarray(16))), "invalid");
    equal(readProxyHeader(binary(0x21, 0x11, [1, 2, 3, 4])), "invalid");
    equal(readProxyHeader(binary(0x21, 0x21, FOUR.subarray(16))), "invalid");
    equal(readProxyHeader(binary(0x21, 0x11, [], 60_000)), "invalid");
  });
});

describe("version 1", () => {
  const read = (text: string) => readProxyHeader(Buffer.from(text, "latin1"));

  test("TCP4, TCP6 and UNKNOWN", () => {
    deepEqual(read("PROXY TCP4 192.0.2.7 10.0.0.1 80 8081\r\nGET /"), { bytes: 39, address: V4 });
    deepEqual(read("PROXY TCP6 2001:db8::9 ::1 80 8081\r\n"), { bytes: 36, address: V6 });
    deepEqual(read("PROXY UNKNOWN\r\n"), { bytes: 15, address: NONE });
    deepEqual(read("PROXY UNKNOWN ffff::1 ::1 1 2\r\n"), { bytes: 31, address: NONE });
  });

  test("every beginning of it is partial", () => {
    const line = "PROXY TCP4 192.0.2.7 10.0.0.1 80 8081\r";
    for (let length = 1; length <= line.length; length += 1) equal(read(line.slice(0, length)), "partial");
  });

  test("what is not one is refused at once", () => {
    equal(read("GET / HTTP/1.1\r\n"), "invalid");
    equal(read("PROXX"), "invalid");
    equal(read("PROXY TCP4 2001:db8::9 ::1 80 8081\r\n"), "invalid");
    equal(read("PROXY TCP4 192.0.2.777 10.0.0.1 80 8081\r\n"), "invalid");
    equal(read("PROXY TCP4 192.0.2.7 10.0.0.1 80\r\n"), "invalid");
    equal(read(`PROXY TCP4 ${"1".repeat(200)}`), "invalid");
  });
});

test("addresses in network order", () => {
  deepEqual(addressBytesOf("192.0.2.7"), V4);
  deepEqual(addressBytesOf("2001:db8::9"), V6);
  deepEqual(addressBytesOf("::"), new Uint8Array(16));
  deepEqual(addressBytesOf("::ffff:192.0.2.7"), Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, ...V4));
  deepEqual(addressBytesOf("fe80::1%eth0"), Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1));
  deepEqual(addressBytesOf("1:2:3:4:5:6:7:8"), Uint8Array.of(0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8));
  deepEqual(addressBytesOf(""), NONE);
  deepEqual(addressBytesOf("localhost"), NONE);
});
