/** The histograms of the load generator have the shape of the gateway's: an index means the same value in both. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { HDR_COUNTS, HDR_MAX_NS, hdrIndexOf } from "../../src/base/hdr-geometry.ts";

const SOURCES = fileURLToPath(new URL("../../native-bench/native", import.meta.url));
/** Prints the index of every number on stdin, and behind them how many counts there are. */
const PROGRAM = `
#include <cstdio>
#include "histogram.h"
int main() {
  unsigned long long value;
  while (std::scanf("%llu", &value) == 1) std::printf("%zu\\n", bench::hdr_index_of(value));
  std::printf("%zu\\n", bench::HDR_COUNTS);
}
`;

/** Around every power of two, and spread between them. */
function values(): number[] {
  const powers = Array.from({ length: 43 }, (_, exponent) => 2 ** exponent);
  const around = powers.flatMap((power) => [power - 1, power, power + 1, Math.floor(power * 1.37)]);
  return [...around, HDR_MAX_NS - 1, HDR_MAX_NS, HDR_MAX_NS + 1, 2 ** 53];
}

test("every value has the same index in C++ and in TypeScript", () => {
  const directory = mkdtempSync(join(tmpdir(), "geometry-"));
  try {
    const program = join(directory, "program");
    execFileSync("g++", ["-std=c++17", "-x", "c++", "-", "-I", SOURCES, "-o", program], { input: PROGRAM });
    const printed = execFileSync(program, { input: values().join("\n"), encoding: "utf8" });
    const expected = [...values().map(hdrIndexOf), HDR_COUNTS];
    assert.deepEqual(printed.trim().split("\n").map(Number), expected);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
