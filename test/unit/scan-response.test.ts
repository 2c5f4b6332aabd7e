/** The response scan by example: each figure, flag and border. Agreement with JSON.parse is in test/fuzz. */
import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import {
  borders,
  closeScan,
  estimateTokens,
  feedScan,
  openScan,
  readUsage,
  SEEN_ERROR,
  SEEN_FINISH,
  SEEN_JSON,
  SEEN_TERMINAL,
  SEEN_USAGE,
  scansOpen,
  usage,
} from "../../src/providers/response-scan.ts";

const USAGE_EVENT = 'data: {"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":3}}\n\n';
const DELTA_EVENT = 'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":null}],"usage":null}\n\n';
const DONE_EVENT = "data: [DONE]\n\n";
const KNOWN_FLAGS = SEEN_USAGE | SEEN_FINISH | SEEN_TERMINAL | SEEN_ERROR | SEEN_JSON;

/** Feeds all `chunks`; the flags after the last. The figures are in `usage`. */
function flagsOf(events: boolean, chunks: readonly string[]): number {
  const slot = openScan(events);
  let flags = 0;
  for (const chunk of chunks) flags = feedScan(slot, Buffer.from(chunk)) & KNOWN_FLAGS;
  readUsage(slot);
  closeScan(slot);
  return flags;
}

function figuresOf(events: boolean, chunks: readonly string[]): number[] {
  flagsOf(events, chunks);
  return [usage.inputTokens, usage.outputTokens, usage.cachedTokens, usage.reasoningTokens];
}

/** The borders after each of `chunks`: boundary, start and end of the range to strip. */
function bordersOf(chunks: readonly string[]): number[][] {
  const slot = openScan(true);
  const all = chunks.map((chunk) => {
    feedScan(slot, Buffer.from(chunk));
    return [borders.boundary, borders.stripStart, borders.stripEnd];
  });
  closeScan(slot);
  return all;
}

function estimateOf(chunks: readonly string[]): number {
  flagsOf(true, chunks);
  return usage.estimatedOutputTokens;
}

afterEach(() => strictEqual(scansOpen(), 0));

describe("response scan: figures", () => {
  it("of a chat completion", () => {
    const details = '"prompt_tokens_details":{"cached_tokens":5},"completion_tokens_details":{"reasoning_tokens":2}';
    const document = `{"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15,${details}}}`;
    deepStrictEqual(figuresOf(false, [document]), [12, 3, 5, 2]);
  });

  it("of a Responses answer", () => {
    const details = '"input_tokens_details":{"cached_tokens":5},"output_tokens_details":{"reasoning_tokens":2}';
    const answer = `"usage":{"input_tokens":12,${details},"output_tokens":3}`;
    deepStrictEqual(figuresOf(false, [`{"output":[],${answer}}`]), [12, 3, 5, 2]);
    deepStrictEqual(figuresOf(true, [`data: {"type":"response.completed","response":{${answer}}}\n\n`]), [12, 3, 5, 2]);
  });

  it("of Groq's last chunk", () => {
    const chunk = 'data: {"choices":[{}],"x_groq":{"usage":{"prompt_tokens":12,"completion_tokens":3}}}\n\n';
    deepStrictEqual(figuresOf(true, [chunk]), [12, 3, 0, 0]);
  });

  it("the last ones count, when a provider reports as it goes", () => {
    const later = USAGE_EVENT.replace(":3}", ":4}");
    deepStrictEqual(figuresOf(true, [USAGE_EVENT, later]), [12, 4, 0, 0]);
  });

  it("cut in the middle of a number", () => {
    const at = USAGE_EVENT.indexOf("12") + 1;
    deepStrictEqual(figuresOf(true, [USAGE_EVENT.slice(0, at), USAGE_EVENT.slice(at)]), [12, 3, 0, 0]);
  });

  it("only whole numbers up to 10^12", () => {
    const reported = (spelling: string) => figuresOf(false, [`{"usage":{"prompt_tokens":${spelling}}}`])[0];
    strictEqual(reported("1000000000000"), 1e12);
    for (const spelling of [
      "1000000000001",
      "10000000000000",
      `1${"0".repeat(400)}`,
      "1.5",
      "1e3",
      "-1",
      '"7"',
      "null",
    ]) {
      strictEqual(reported(spelling), 0, spelling);
    }
  });

  it("of which one is no number of tokens are no usage, wherever the answer is cut", () => {
    for (const wrong of ["-1", "1.5", "1e3", "1000000000001"]) {
      for (const pair of [
        `"prompt_tokens":${wrong},"completion_tokens":3`,
        `"input_tokens":12,"output_tokens":${wrong}`,
      ]) {
        const document = `{"choices":[],"usage":{${pair}}}`;
        strictEqual(flagsOf(false, [document]), SEEN_JSON, document);
        strictEqual(flagsOf(false, [...document]), SEEN_JSON, document);
        strictEqual(flagsOf(true, [...`data: ${document}\n\n`]), SEEN_JSON, document);
      }
    }
  });

  it("that were right stay so when later ones are wrong", () => {
    const wrong = USAGE_EVENT.replace(":12", ":-12");
    strictEqual(flagsOf(true, [USAGE_EVENT, wrong]), SEEN_JSON | SEEN_USAGE);
    deepStrictEqual(figuresOf(true, [USAGE_EVENT, wrong]), [12, 3, 0, 0]);
  });

  it("of detail that are wrong are left out", () => {
    const details = '"prompt_tokens_details":{"cached_tokens":-5}';
    deepStrictEqual(
      figuresOf(false, [`{"usage":{"prompt_tokens":12,"completion_tokens":3,${details}}}`]),
      [12, 3, 0, 0],
    );
    strictEqual(flagsOf(false, [`{"usage":{"prompt_tokens":12,${details}}}`]), SEEN_JSON | SEEN_USAGE);
  });

  it("not from inside of strings, tools, metadata or arrays", () => {
    const inner = '{"usage":{"prompt_tokens":9}}';
    for (const document of [
      JSON.stringify({ content: inner }),
      `{"metadata":${inner}}`,
      `{"tools":[${inner}]}`,
      `[${inner}]`,
      '{"usage":[{"prompt_tokens":9}]}',
      '{"usage":{"extra":{"prompt_tokens":9}}}',
    ]) {
      deepStrictEqual(figuresOf(false, [document]), [0, 0, 0, 0], document);
    }
  });
});

describe("response scan: flags", () => {
  it("nothing in nothing", () => strictEqual(flagsOf(true, [""]), 0));

  it("of a whole chat stream", () => {
    const finish = 'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n';
    const flags = flagsOf(true, [DELTA_EVENT, finish, USAGE_EVENT, DONE_EVENT]);
    strictEqual(flags, SEEN_JSON | SEEN_FINISH | SEEN_USAGE | SEEN_TERMINAL);
  });

  it("no finish in a finish_reason of null", () => strictEqual(flagsOf(true, [DELTA_EVENT]), SEEN_JSON));

  for (const done of [
    "data: [DONE]\n\n",
    "data:[DONE]\n\n",
    "data: [DONE]\r\n\r\n",
    "data: [DONE]",
    "data: [DONE] \n\n",
  ]) {
    it(`the end in ${JSON.stringify(done)}, which is no JSON`, () => {
      strictEqual(flagsOf(true, [done]), SEEN_TERMINAL);
      strictEqual(flagsOf(true, [...done]), SEEN_TERMINAL);
    });
  }

  for (const other of [
    "data: [DON]\n\n",
    "data: DONE\n\n",
    ": [DONE]\n\n",
    "event: [DONE]\n\n",
    'data: "[DONE]"\n\n',
  ]) {
    it(`no end in ${JSON.stringify(other)}`, () => strictEqual(flagsOf(true, [other]) & SEEN_TERMINAL, 0));
  }

  for (const type of ["response.completed", "response.failed", "response.incomplete", "error"]) {
    it(`the end of a Responses stream in ${type}`, () => {
      strictEqual(flagsOf(true, [`data: {"type":"${type}"}\n\n`]), SEEN_TERMINAL | SEEN_JSON);
    });
  }

  it("no end in other types, nor in the same word elsewhere", () => {
    strictEqual(flagsOf(true, ['data: {"type":"response.created","a":{"type":"error"}}\n\n']), SEEN_JSON);
  });

  it("errors, objects and strings, but not null", () => {
    strictEqual(flagsOf(false, ['{"error":{"message":"m"}}']), SEEN_ERROR | SEEN_JSON);
    strictEqual(flagsOf(false, ['{"error":"m"}']), SEEN_ERROR | SEEN_JSON);
    strictEqual(flagsOf(false, ['{"error":null}']), SEEN_JSON);
  });

  it("a document is complete with its last brace", () => {
    strictEqual(flagsOf(false, ['{"a":{"b":1}']), 0);
    strictEqual(flagsOf(false, ['{"a":{"b":1}', "}"]), SEEN_JSON);
  });
});

describe("response scan: borders", () => {
  it("after the last whole event", () => {
    deepStrictEqual(bordersOf([`${DONE_EVENT}data: x`, "\n", "\n"]), [
      [DONE_EVENT.length, -1, -1],
      [-1, -1, -1],
      [1, -1, -1],
    ]);
  });

  it("of the usage event within a chunk", () => {
    const start = DELTA_EVENT.length;
    const end = start + USAGE_EVENT.length;
    const chunk = DELTA_EVENT + USAGE_EVENT + DONE_EVENT;
    deepStrictEqual(bordersOf([chunk]), [[chunk.length, start, end]]);
  });

  it("of a usage event that began in an earlier chunk", () => {
    deepStrictEqual(bordersOf([USAGE_EVENT.slice(0, 20), USAGE_EVENT.slice(20)]), [
      [-1, -1, -1],
      [USAGE_EVENT.length - 20, -1, USAGE_EVENT.length - 20],
    ]);
  });

  it("with CRLF, after the LF", () => {
    const crlf = USAGE_EVENT.replaceAll("\n", "\r\n");
    deepStrictEqual(bordersOf([crlf]), [[crlf.length, 0, crlf.length]]);
  });

  it("with CRLF, also of the LF that comes in the next chunk, and of nothing behind it", () => {
    const crlf = USAGE_EVENT.replaceAll("\n", "\r\n");
    const [begin, done] = [crlf.slice(0, -1), DONE_EVENT.replaceAll("\n", "\r\n")];
    const stripped = [begin.length, 0, begin.length];
    deepStrictEqual(bordersOf([begin, `\n${done}`]), [stripped, [done.length + 1, 0, 1]]);
    deepStrictEqual(bordersOf([begin, "", "\n", done]), [stripped, [-1, -1, -1], [1, 0, 1], [done.length, -1, -1]]);
    deepStrictEqual(bordersOf([begin, done]), [stripped, [done.length, -1, -1]]);
    deepStrictEqual(bordersOf([`${crlf}${done.slice(0, -1)}`, "\n"]).at(1), [1, -1, -1]);
  });

  it("of a usage event whose counts are wrong as well", () => {
    const wrong = USAGE_EVENT.replace(":12", ":-12");
    deepStrictEqual(bordersOf([wrong]), [[wrong.length, 0, wrong.length]]);
  });

  it("names the first usage event only, and none that has choices", () => {
    const both = DELTA_EVENT.replace("null}\n", '{"prompt_tokens":1}}\n');
    deepStrictEqual(bordersOf([both]), [[both.length, -1, -1]]);
    deepStrictEqual(bordersOf([USAGE_EVENT, USAGE_EVENT]).at(1), [USAGE_EVENT.length, -1, -1]);
  });
});

describe("response scan: estimates", () => {
  it("a token per delta at least", () => strictEqual(estimateOf([DELTA_EVENT, DELTA_EVENT, DELTA_EVENT]), 3));

  it("none for an empty delta, wherever it is cut", () => {
    const empty = DELTA_EVENT.replace("Hi", "");
    strictEqual(estimateOf([empty]), 0);
    strictEqual(estimateOf([...empty, ...DELTA_EVENT]), 1);
    strictEqual(estimateOf([...DELTA_EVENT.replace("Hi", "\\n")]), 1);
  });

  it("a token per four bytes at least", () => {
    strictEqual(estimateOf([DELTA_EVENT.replace("Hi", "x".repeat(401))]), 101);
  });

  it("escapes count as what they stand for", () => {
    strictEqual(estimateOf([DELTA_EVENT.replace("Hi", "\\n".repeat(400))]), 100);
    strictEqual(estimateOf([DELTA_EVENT.replace("Hi", "\\u00e9".repeat(400))]), 300);
  });

  it("tool arguments, reasoning and Responses deltas count, repeated texts do not", () => {
    strictEqual(estimateOf(['data: {"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{"}}]}}]}\n\n']), 1);
    strictEqual(estimateOf(['data: {"choices":[{"delta":{"reasoning_content":"so"}}]}\n\n']), 1);
    strictEqual(estimateOf(['data: {"type":"response.output_text.delta","delta":"so"}\n\n']), 1);
    strictEqual(estimateOf(['data: {"type":"response.output_text.done","text":"so"}\n\n']), 0);
  });

  it("rounds up", () => deepStrictEqual([0, 1, 4, 5].map(estimateTokens), [0, 1, 1, 2]));
});

describe("response scan: slots", () => {
  it("are counted, and refused once closed", () => {
    const slot = openScan(true);
    strictEqual(scansOpen(), 1);
    closeScan(slot);
    throws(() => closeScan(slot), RangeError);
    throws(() => feedScan(slot, Buffer.from("x")), RangeError);
    throws(() => feedScan(-1, Buffer.from("x")), RangeError);
  });

  it("are reused without what was found before", () => {
    flagsOf(true, [USAGE_EVENT, DONE_EVENT]);
    deepStrictEqual(figuresOf(true, [DELTA_EVENT]), [0, 0, 0, 0]);
    strictEqual(flagsOf(true, [DELTA_EVENT]), SEEN_JSON);
  });
});

/** All that a scan says, at its end. */
function outcomeOf(chunks: readonly string[]): (number | boolean)[] {
  const flags = flagsOf(true, chunks);
  const { inputTokens, outputTokens, cachedTokens, reasoningTokens, estimatedOutputTokens } = usage;
  return [flags, inputTokens, outputTokens, cachedTokens, reasoningTokens, estimatedOutputTokens];
}

const CACHED = '"usage":{"prompt_tokens_details":{"cached_tokens":7}}';

/** Events that begin with the same bytes as the one before, or nearly so. */
const ALIKE: Readonly<Record<string, readonly string[]>> = {
  "what the model writes": ["a", "bc", "", "\\u00e9", "d"].map(
    (text) => `{"choices":[{"delta":{"content":"${text}"}}]}`,
  ),
  "an end that differs": ["null", '"stop"', "null"].map(
    (reason) => `{"choices":[{"delta":{"content":"x"},"finish_reason":${reason}}]}`,
  ),
  "a role in the first": ['"role":"assistant",', "", ""].map(
    (role) => `{"choices":[{"delta":{${role}"content":"x"}}]}`,
  ),
  "cached tokens before the content, others between": [
    `{${CACHED},"choices":[{"delta":{"content":"x"}}]}`,
    `{${CACHED.replace("7", "9")},"choices":[{"delta":{"content":"x"}}]}`,
    `{${CACHED},"choices":[{"delta":{"content":"y"}}]}`,
  ],
  "usage before the content": [1, 2, 1].map(
    (n) => `{"usage":{"prompt_tokens":${n},"completion_tokens":${n}},"choices":[{"delta":{"content":"x"}}]}`,
  ),
  "an error before the content": ["x", "y"].map((text) => `{"error":{},"choices":[{"delta":{"content":"${text}"}}]}`),
  "deltas of the Responses API": ["x", "y", ""].map(
    (text) => `{"type":"response.output_text.delta","delta":"${text}"}`,
  ),
  "a beginning that is too long": ["x", "y"].map(
    (text) => `{"id":"${"i".repeat(400)}","choices":[{"delta":{"content":"${text}"}}]}`,
  ),
  "a shorter one": ['{"delta":"', '{"delta":"x"}', '{"delta":"', '{"delta":', '{"delta":"y"}'],
};

describe("response scan: events that begin alike", () => {
  for (const [what, documents] of Object.entries(ALIKE)) {
    it(`say the same whole, cut anywhere and byte by byte: ${what}`, () => {
      const text = documents.map((document) => `data: ${document}\n\n`).join("");
      // Nothing can be remembered of a document whose beginning is not at hand.
      const expected = outcomeOf([...text]);
      deepStrictEqual(outcomeOf([text]), expected);
      for (let cut = 1; cut < text.length; cut += 1) {
        deepStrictEqual(outcomeOf([text.slice(0, cut), text.slice(cut)]), expected, `cut at ${cut}`);
      }
    });
  }
});
