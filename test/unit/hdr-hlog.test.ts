/** Interval logs, encoded histograms and percentile output, against the Java HdrHistogram and against damage. */
import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { deflateSync } from "node:zlib";
import { decodeFromCompressedBase64, encodeIntoCompressedBase64 } from "hdr-histogram-js";
import { CodedError } from "../../src/base/errors.ts";
import { HDR_COUNTS } from "../../src/base/hdr-geometry.ts";
import { decodeHistogram, encodeHistogram } from "../../src/telemetry/hdr/encoding.ts";
import { hgrmOf } from "../../src/telemetry/hdr/hgrm.ts";
import { type Histogram, newHistogram } from "../../src/telemetry/hdr/histogram.ts";
import { HlogWriter, hlogHead, hlogLine, type Interval } from "../../src/telemetry/hdr/hlog.ts";
import { readHlog } from "../../src/telemetry/hdr/hlog-reader.ts";
import { Random } from "../fuzz/random.ts";

const FIXTURES = join(import.meta.dirname, "../fixtures/hdr");
const directory = mkdtempSync(join(tmpdir(), "sluice-hlog-"));
after(() => rmSync(directory, { recursive: true }));

function fileOf(content: string | Buffer): string {
  const path = join(directory, "test.hlog");
  writeFileSync(path, content);
  return path;
}

function read(content: string | Buffer, warnings: string[] = []): Interval[] {
  return [...readHlog(fileOf(content), (message) => warnings.push(message))];
}

function coded(code: string, message: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof CodedError && error.code === code && message.test(error.message);
}

function histogramOf(seed: number, values: number): Histogram {
  const random = new Random(seed);
  const histogram = newHistogram();
  for (let i = 0; i < values; i++) histogram.recordValue(Math.floor(Math.exp(random.unit() * 28)));
  return histogram;
}

function countsOf(histogram: Histogram): number[] {
  return Array.from({ length: HDR_COUNTS }, (_, index) => histogram.getCountAtIndex(index));
}

const SAMPLE: Interval = {
  tag: "t",
  startMs: 1_700_000_000_000,
  endMs: 1_700_000_001_000,
  histogram: histogramOf(1, 9),
};

test("a log that the Java HistogramLogWriter wrote is read as the Java reader reads it", () => {
  const intervals = [...readHlog(join(FIXTURES, "java.hlog"), () => {})];
  deepEqual(
    intervals.map(({ tag, startMs, endMs, histogram }) => [
      tag,
      startMs,
      endMs,
      histogram.totalCount,
      histogram.minNonZeroValue,
      histogram.maxValue,
      histogram.getValueAtPercentile(50),
      histogram.getValueAtPercentile(99),
    ]),
    [
      ["", 1_700_000_000_123, 1_700_000_001_123, 500, 45_984, 4_231_167, 401_919, 2_506_751],
      ["a/b", 1_700_000_001_123, 1_700_000_002_123, 501, 49_792, 3_601_330_077_695, 401_919, 1_902_591],
      ["a/b", 1_700_000_002_123, 1_700_000_003_123, 1_099_511_628_276, 1, 3_500_031, 1, 1],
    ],
  );
});

test("percentile output is the one of the Java histogram, byte for byte", () => {
  const [first] = readHlog(join(FIXTURES, "java.hlog"), () => {});
  ok(first);
  equal(hgrmOf(first.histogram), readFileSync(join(FIXTURES, "java.hgrm"), "utf8"));
});

test("what is written is read back, count for count", () => {
  const histograms = [0, 1, 5_000].map((values, seed) => histogramOf(seed, values));
  let text = "";
  const writer = new HlogWriter((piece) => (text += piece), 1_700_000_000_500, ["[by a test]\nof two lines"]);
  histograms.forEach((histogram, i) => {
    writer.interval({
      tag: i === 0 ? "" : `tag, ${i}`,
      startMs: 1_700_000_000_500 + i,
      endMs: 1_700_000_001_750,
      histogram,
    });
  });
  const intervals = read(text);
  deepEqual(
    intervals.map(({ tag, startMs, endMs }) => [tag, startMs, endMs]),
    [
      ["", 1_700_000_000_500, 1_700_000_001_750],
      ["tag__1", 1_700_000_000_501, 1_700_000_001_750],
      ["tag__2", 1_700_000_000_502, 1_700_000_001_750],
    ],
  );
  deepEqual(
    intervals.map(({ histogram }) => countsOf(histogram)),
    histograms.map(countsOf),
  );
});

test("the head is the one of the format", () => {
  equal(
    hlogHead(1_441_812_279_474),
    "#[Histogram log format version 1.3]\n" +
      "#[StartTime: 1441812279.474 (seconds since epoch), Wed Sep 09 15:24:39 UTC 2015]\n" +
      '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n',
  );
});

test("a line has the largest value in milliseconds", () => {
  const histogram = newHistogram();
  histogram.recordValue(1_234_567);
  const line = hlogLine({ ...SAMPLE, tag: "a/b", histogram });
  ok(line.startsWith("Tag=a/b,1700000000.000,1.000,1.235,HISTFAAAA"), line);
  ok(line.endsWith("\n"));
});

test("hdr-histogram-js reads what is encoded here, and the other way round", () => {
  const histogram = histogramOf(3, 2_000);
  const theirs = decodeFromCompressedBase64(encodeHistogram(histogram), 64);
  deepEqual(theirs.toJSON(), decodeHistogram(encodeIntoCompressedBase64(histogram)).toJSON());
  deepEqual(countsOf(decodeHistogram(encodeIntoCompressedBase64(histogram))), countsOf(histogram));
});

test("times are absolute, or count from the start time or the base time", () => {
  const [, body] = /,(.*)$/s.exec(hlogLine({ ...SAMPLE, tag: "", startMs: 0, endMs: 1_000 })) ?? [];
  const starts = (head: string, start: string) => read(`${head}${start},${body}`).map(({ startMs }) => startMs);
  deepEqual(starts("", "5.25"), [5_250]);
  deepEqual(starts("#[StartTime: 1700000000.000 (seconds since epoch), x]\n", "5.25"), [1_700_000_005_250]);
  deepEqual(starts("#[StartTime: 1700000000.000 (seconds since epoch), x]\n", "1700000001.5"), [1_700_000_001_500]);
  deepEqual(
    starts("#[BaseTime: 1000.000 (seconds since epoch)]\n#[StartTime: 1700000000.0 (s), x]\n", "1"),
    [1_001_000],
  );
});

test("each head of a log has its own start time", () => {
  const [, line] = /^Tag=t,[^,]*(,.*)$/s.exec(hlogLine(SAMPLE)) ?? [];
  const part = (start: number) => `${hlogHead(start * 1_000)}2.000${line}`;
  deepEqual(
    read(part(1_700_000_000) + part(1_800_000_000)).map(({ startMs }) => startMs),
    [1_700_000_002_000, 1_800_000_002_000],
  );
});

test("a last line that is cut off is left out and told, wherever the cut is", () => {
  const line = hlogLine(SAMPLE);
  for (let cut = 1; cut < line.length - 1; cut++) {
    const warnings: string[] = [];
    equal(read(hlogHead(0) + line + line.slice(0, cut), warnings).length, 1, `cut at ${cut}`);
    equal(warnings.length, 1, `cut at ${cut}`);
    ok(/test\.hlog:5: .*left out/.test(warnings[0] ?? ""), warnings[0]);
  }
});

test("a line that is cut off is left out where the head of the next start follows, and is an error elsewhere", () => {
  const [head, line] = [hlogHead(0), hlogLine(SAMPLE)];
  const warnings: string[] = [];
  equal(read(`${head}${line.slice(0, 60)}\n${head}${line}`, warnings).length, 1);
  equal(warnings.length, 1);
  throws(() => read(`${head}${line.slice(0, 60)}\n${line}`), coded("hdr_bad_line", /test\.hlog:4: /));
  throws(() => read(`${head}${line.slice(0, 60)}\n`), coded("hdr_bad_line", /test\.hlog:4: .*base64|cut off/));
});

test("other files are refused with a reason", () => {
  throws(() => read(""), coded("hdr_not_a_log", /neither a head nor an interval/));
  throws(() => read("hello\nworld\n"), coded("hdr_not_a_log", /test\.hlog:1/));
  throws(() => read(Buffer.alloc(20_000_000)), coded("hdr_line_too_long", /too long/));
  throws(() => [...readHlog(join(directory, "none.hlog"), () => {})], coded("hdr_unreadable", /does not exist/));
  throws(() => [...readHlog(directory, () => {})], coded("hdr_unreadable", /is a directory/));
});

test("histograms that promise more than they are are refused", () => {
  const packed = (head: (bytes: Buffer) => void, payload: readonly number[]): string => {
    const bytes = Buffer.alloc(40 + payload.length);
    bytes.writeInt32BE(0x1c849313, 0);
    bytes.writeInt32BE(payload.length, 4);
    bytes.writeInt32BE(3, 12);
    bytes.writeBigInt64BE(1n, 16);
    bytes.writeBigInt64BE(3_600_000_000_000n, 24);
    bytes.set(payload, 40);
    head(bytes);
    const outer = Buffer.alloc(8);
    outer.writeInt32BE(0x1c849314, 0);
    const data = deflateSync(bytes);
    outer.writeInt32BE(data.length, 4);
    return Buffer.concat([outer, data]).toString("base64");
  };
  const refused = (message: RegExp, head: (bytes: Buffer) => void, payload: readonly number[] = [2]) =>
    throws(() => decodeHistogram(packed(head, payload)), coded("hdr_bad_histogram", message));
  equal(decodeHistogram(packed(() => {}, [2])).totalCount, 1);
  refused(/more counts than/, () => {}, [255, 255, 255, 255, 15]);
  refused(/too large/, () => {}, [254, 255, 255, 255, 255, 255, 255, 255, 255]);
  refused(/cut off/, () => {}, [255, 255]);
  refused(/not possible/, (bytes) => bytes.writeInt32BE(9, 12));
  refused(/not possible/, (bytes) => bytes.writeBigInt64BE(0n, 16));
  refused(/not possible/, (bytes) => bytes.writeBigInt64BE(2n ** 62n, 24));
  refused(/payload is cut off/, (bytes) => bytes.writeInt32BE(99, 4));
  refused(/no histogram/, (bytes) => bytes.writeInt32BE(7, 0));
  refused(
    /too large/,
    () => {},
    Array.from({ length: 9_000_000 }, () => 0),
  );
  throws(() => decodeHistogram("HISTE"), coded("hdr_bad_histogram", /./));
});

test("fuzz: random bytes and damaged logs never end in anything but a coded error", () => {
  const random = new Random(4);
  const sound = Buffer.from(hlogHead(0) + hlogLine(SAMPLE) + hlogLine({ ...SAMPLE, tag: "" }));
  const damaged = () => {
    const bytes = Buffer.from(sound.subarray(0, 1 + random.below(sound.length)));
    for (let i = random.below(4); i > 0; i--) bytes[random.below(bytes.length)] = random.below(256);
    return bytes;
  };
  const noise = () => Buffer.from(random.several(300, () => random.below(256)));
  let refused = 0;
  for (let i = 0; i < 3_000; i++) {
    try {
      for (const { histogram } of read(random.chance(0.8) ? damaged() : noise())) ok(histogram.totalCount >= 0);
    } catch (error) {
      ok(error instanceof CodedError, String(error));
      refused += 1;
    }
  }
  ok(refused > 500);
});
