/** The cache of label texts never answers with another text than the bytes say. */
import { equal } from "node:assert/strict";
import { describe, test } from "node:test";
import { TextCache } from "../../src/shm/text-cache.ts";

/** More than the cache has places for. */
const DISTINCT = 5_000;

function newMemory(bytes = 128) {
  const u8 = Buffer.alloc(bytes);
  return { u8, u32: new Uint32Array(u8.buffer, u8.byteOffset, bytes / 4) };
}

/** A cache, and how many texts it made. */
function newCache() {
  const counts = { made: 0 };
  const cache = new TextCache((bytes) => {
    counts.made += 1;
    return bytes.toString("latin1");
  });
  const { u8, u32 } = newMemory();
  const read = (text: string, at = 8) => {
    u8.write(text, at, "latin1");
    return cache.read(u32, u8, at, text.length);
  };
  return { read, counts, u8 };
}

describe("the text cache", () => {
  test("makes a text once, wherever its bytes are and whatever follows them", () => {
    const { read, counts, u8 } = newCache();
    for (const filler of [0, 255, 65]) {
      for (const at of [0, 4, 40]) {
        u8.fill(filler);
        equal(read("gpt-5-mini", at), "gpt-5-mini");
      }
    }
    equal(counts.made, 1);
  });

  test("tells texts apart that differ in one byte or in their length only", () => {
    const { read } = newCache();
    const text = "team-search-production";
    for (let round = 0; round < 2; round += 1) {
      for (let i = 0; i < text.length; i += 1) {
        const other = `${text.slice(0, i)}!${text.slice(i + 1)}`;
        equal(read(other), other);
        equal(read(text.slice(0, i)), text.slice(0, i));
        equal(read(`${text.slice(0, i)}\0`), `${text.slice(0, i)}\0`);
      }
    }
  });

  test("is right about more texts than it can keep, and about texts that are too long for it", () => {
    const { read, counts } = newCache();
    for (let i = 0; i < 2 * DISTINCT; i += 1) {
      const text = `model-${i % DISTINCT}${"x".repeat(i % 100)}`;
      equal(read(text), text);
    }
    equal(counts.made > DISTINCT, true);
  });
});
