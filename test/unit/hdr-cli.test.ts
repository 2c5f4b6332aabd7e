/** `sluice hdr` as people and scripts see it: the real program, its output and exit codes. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { newHistogram } from "../../src/telemetry/hdr/histogram.ts";
import { hlogHead, hlogLine } from "../../src/telemetry/hdr/hlog.ts";
import { readHlog } from "../../src/telemetry/hdr/hlog-reader.ts";
import { Random } from "../fuzz/random.ts";

const MAIN = join(import.meta.dirname, "../../src/main.ts");
const FIXTURES = join(import.meta.dirname, "../fixtures/hdr");
const directory = mkdtempSync(join(tmpdir(), "sluice-hdr-"));
after(() => rmSync(directory, { recursive: true }));

function hdr(...args: readonly string[]) {
  const options = { encoding: "utf8", cwd: directory } as const;
  const command = ["--disable-warning=ExperimentalWarning", MAIN, "hdr", ...args];
  const { status, stdout, stderr } = spawnSync(process.execPath, command, options);
  return { status, stdout, stderr };
}

/** Three rounds of three seconds by tag; values around so many microseconds. */
function logOf(seed: number, medianUs: Readonly<Record<string, number>>): string {
  const random = new Random(seed);
  const lines = Object.entries(medianUs).flatMap(([tag, median]) =>
    [0, 1, 2, 60, 61, 62, 120, 121, 122].map((second) => {
      const histogram = newHistogram();
      for (let i = 0; i < 2_000; i++) histogram.recordValue(Math.floor(median * 1_000 * (0.9 + random.unit() / 5)));
      const startMs = 1_700_000_000_000 + second * 1_000;
      return hlogLine({ tag, startMs, endMs: startMs + 1_000, histogram });
    }),
  );
  return hlogHead(1_700_000_000_000) + lines.join("");
}

function write(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

const A = write("a.hlog", logOf(1, { "s/x/total": 400, "s/x/ttft": 300 }));
const SAME = write("same.hlog", logOf(2, { "s/x/total": 400, "s/x/ttft": 300 }));
const SLOWER = write("slower.hlog", logOf(3, { "s/x/total": 600, "s/x/ttft": 300 }));
const OTHER = write("other.hlog", logOf(4, { "u/y/total": 400 }));
const NOISE = write("noise.hlog", "\u0000\u0001 not a log\n");
const TORN = write("torn.hlog", logOf(5, { t: 100 }).slice(0, -30));
const BROKEN = write("broken.hlog", logOf(5, { t: 100 }).replace(/(HISTF.{40}).*\n/, "$1\n"));

describe("sluice hdr show", () => {
  test("lists count, mean and percentiles by tag", () => {
    const { status, stdout, stderr } = hdr("show", A);
    deepEqual([status, stderr], [0, ""]);
    match(stdout, /^tag \(ms\) +count +mean +p50 +p90 +p99 +p99\.9 +p99\.99 +max$/m);
    match(stdout, /^s\/x\/total +18000 +0\.4\d\d +0\.4\d\d +0\.4/m);
    match(stdout, /^s\/x\/ttft +18000 +0\.3/m);
  });

  test("chooses tags, percentiles and the unit, and prints JSON", () => {
    const { status, stdout } = hdr(
      "show",
      A,
      "--tag",
      "*/ttft",
      "--percentiles",
      "50,99.999",
      "--unit",
      "us",
      "--json",
    );
    equal(status, 0);
    const [only, ...others] = JSON.parse(stdout);
    deepEqual(
      [only.tag, only.unit, only.count, Object.keys(only.percentiles), others],
      ["s/x/ttft", "us", 18_000, ["50", "99.999"], []],
    );
    ok(only.percentiles["50"] > 290 && only.percentiles["50"] < 310);
  });

  test("reads a directory, what Java wrote, and percentile output", () => {
    const { status, stdout } = hdr("show", FIXTURES);
    equal(status, 0);
    match(stdout, /^\(no tag\) +500 +0\.512 +0\.402 /m);
    match(stdout, /^a\/b +1099511628777 /m);
    match(hdr("show", join(FIXTURES, "java.hgrm")).stdout, /^java +500 +0\.512 +0\.402 +0\.918 +2\.556 /m);
  });

  test("prints the percentile output of one tag", () => {
    const { status, stdout } = hdr("show", join(FIXTURES, "java.hlog"), "--tag", "", "--hgrm");
    deepEqual([status, stdout], [0, readFileSync(join(FIXTURES, "java.hgrm"), "utf8")]);
    match(hdr("show", A, "--hgrm").stderr, /choose one with --tag/);
  });

  test("a last line that is cut off is left out and told", () => {
    const { status, stdout, stderr } = hdr("show", TORN);
    equal(status, 0);
    match(stdout, /^t +16000 /m);
    match(stderr, /torn\.hlog:12: .*left out/);
  });

  test("what it cannot read is exit code 1 and a reason with the line", () => {
    for (const [path, reason] of [
      [NOISE, /noise\.hlog is not an HdrHistogram log/],
      [BROKEN, /broken\.hlog:4: .*base64|broken\.hlog:4: .*cut off/],
      [join(directory, "none.hlog"), /does not exist/],
    ] as const) {
      const { status, stdout, stderr } = hdr("show", path);
      deepEqual([status, stdout], [1, ""]);
      match(stderr, reason);
      ok(!stderr.includes("bug"), stderr);
    }
    match(hdr("show", A, "--tag", "nothing").stderr, /no interval with the tag nothing/);
    equal(hdr("show").status, 2);
  });
});

describe("sluice hdr merge", () => {
  const counts = (path: string) => {
    const byTag: Record<string, [intervals: number, count: number]> = {};
    for (const { tag, histogram } of readHlog(path, () => {})) {
      const [intervals, count] = byTag[tag] ?? [0, 0];
      byTag[tag] = [intervals + 1, count + histogram.totalCount];
    }
    return byTag;
  };

  test("keeps every interval and every count", () => {
    const out = join(directory, "merged.hlog");
    equal(hdr("merge", A, SAME, OTHER, "-o", out).status, 0);
    deepEqual(counts(out), { "s/x/total": [18, 36_000], "s/x/ttft": [18, 36_000], "u/y/total": [9, 18_000] });
  });

  test("makes one interval per tag if asked to, with the exact counts", () => {
    const out = join(directory, "sum.hlog");
    equal(hdr("merge", A, SAME, "-o", out, "--sum").status, 0);
    deepEqual(counts(out), { "s/x/total": [1, 36_000], "s/x/ttft": [1, 36_000] });
    const json = (...files: string[]) => JSON.parse(hdr("show", "--json", ...files).stdout);
    deepEqual(json(out), json(A, SAME));
  });

  test("leaves the output as it was when something is wrong", () => {
    const out = write("kept.hlog", "kept");
    for (const args of [[A, BROKEN], [A, "--tag", "nothing"], [out]]) {
      equal(hdr("merge", ...args, "-o", out).status, 1);
      equal(readFileSync(out, "utf8"), "kept");
    }
    ok(!readdirSync(directory).some((name) => name.endsWith(".new")));
  });
});

describe("sluice hdr diff", () => {
  test("the same again is exit code 0", () => {
    const { status, stdout } = hdr("diff", A, SAME);
    equal(status, 0);
    match(stdout, /^s\/x\/total: 18000 values in 3 rounds, 18000 in 3 rounds$/m);
    match(stdout, /^2 tags: 0 worse, 0 better beyond noise\.$/m);
  });

  test("worse beyond noise is exit code 1, better is 0", () => {
    const { status, stdout } = hdr("diff", A, SLOWER);
    equal(status, 1);
    match(stdout, /^p50 +0\.4\d\d +0\.6\d\d +\+0\.\d{3} +\+(?:49|50|51)\.\d % +WORSE$/m);
    match(stdout, /Worse: s\/x\/total$/m);
    const back = hdr("diff", SLOWER, A);
    equal(back.status, 0);
    match(back.stdout, /1 better/);
    equal(hdr("diff", A, SLOWER, "--tag", "*/ttft").status, 0);
    equal(hdr("diff", A, SLOWER, "--threshold", "80").status, 0);
    equal(hdr("diff", A, SLOWER, "--threshold-us", "500").status, 0);
  });

  test("JSON has every percentile and the verdict", () => {
    const { exit_code, tags } = JSON.parse(hdr("diff", A, SLOWER, "--json").stdout);
    equal(exit_code, 1);
    const [first] = tags;
    deepEqual(
      first.percentiles.map(({ percentile }: { percentile: number }) => percentile),
      [50, 75, 90, 95, 99, 99.9, 99.99, 99.999, 100],
    );
    equal(first.percentiles[0].verdict, "worse");
    equal(first.percentiles[0].change_ns, first.percentiles[0].b_ns - first.percentiles[0].a_ns);
  });

  test("what cannot be compared is exit code 2", () => {
    for (const [args, reason] of [
      [[A, OTHER], /no common tag/],
      [[A, NOISE], /not an HdrHistogram log/],
      [[A, join(FIXTURES, "java.hgrm")], /percentiles only/],
      [[A, join(directory, "none")], /does not exist/],
      [[A, SAME, "--tag", "nothing"], /no interval with the tag/],
      [[A], /missing required argument/],
      [[A, SAME, "--threshold", "x"], /number from 0/],
    ] as const) {
      const { status, stderr } = hdr("diff", ...args);
      equal(status, 2, args.join(" "));
      match(stderr, reason);
    }
  });

  test("a control takes the blame for what slowed it down as well", () => {
    const before = write("before.hlog", logOf(6, { "s/direct/total": 400, "s/x/total": 400 }));
    const slow = write("slow.hlog", logOf(7, { "s/direct/total": 800, "s/x/total": 800 }));
    equal(hdr("diff", before, slow).status, 0);
    equal(hdr("diff", before, slow, "--no-control").status, 1);
    equal(hdr("diff", before, slow, "--control", "other").status, 1);
  });

  test("a directory is all of its logs", () => {
    for (const [name, seed] of [
      ["run1", 8],
      ["run2", 9],
    ] as const) {
      mkdirSync(join(directory, name));
      write(join(name, "x.hlog"), logOf(seed, { "s/x/total": 400 }));
      write(join(name, "y.hlog"), logOf(seed + 10, { "s/y/total": 400 }));
    }
    const { status, stdout } = hdr("diff", "run1", "run2");
    equal(status, 0);
    match(stdout, /^2 tags:/m);
  });
});

describe("sluice hdr plot", () => {
  test("writes a page with a curve for each run and tag", () => {
    const out = join(directory, "page.html");
    const { status, stdout } = hdr("plot", A, SLOWER, "-o", out, "--title", "Before & after");
    deepEqual([status, stdout], [0, `${out}: 4 curves.\n`]);
    const page = readFileSync(out, "utf8");
    match(page, /<title>Before &amp; after<\/title>/);
    match(page, /"name":"s total"/);
    match(page, /"name":"x \(slower\)"/);
  });

  test("takes percentile output as well, and says when there is nothing", () => {
    const out = join(directory, "one.html");
    equal(hdr("plot", join(FIXTURES, "java.hgrm"), "-o", out).status, 0);
    ok(existsSync(out));
    equal(hdr("plot", A, "--tag", "nothing", "-o", out).status, 1);
    equal(hdr("plot", A).status, 2);
  });
});
