/** The request scan by example: each result code and each field. Agreement with JSON.parse is in test/fuzz. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { describe, it } from "node:test";
import {
  RequestScan,
  SCAN_DUPLICATE,
  SCAN_FIELDS,
  SCAN_INVALID,
  SCAN_NOT_OBJECT,
  SCAN_OK,
  SCAN_TOO_DEEP,
  SCAN_UTF8,
  SCAN_WRONG_TYPE,
} from "../../src/providers/request-scan.ts";

const DEPTH = 128;

function scanned(body: string | Uint8Array, depthMax = DEPTH): { code: number; scan: RequestScan } {
  const scan = new RequestScan();
  const code = scan.scan(typeof body === "string" ? Buffer.from(body) : body, depthMax);
  return { code, scan };
}

/** The scan of a body that is accepted. */
function accepted(body: string): RequestScan {
  const { code, scan } = scanned(body);
  strictEqual(code, SCAN_OK, body);
  return scan;
}

function slice(body: string, start: number, end: number): string {
  return Buffer.from(body).subarray(start, end).toString();
}

function refusal(body: string | Uint8Array, depthMax = DEPTH): { code: number; detail: number } {
  const { code, scan } = scanned(body, depthMax);
  return { code, detail: scan.detail };
}

function fieldAtFault(body: string): { code: number; field: string | undefined } {
  const { code, detail } = refusal(body);
  return { code, field: SCAN_FIELDS[detail] };
}

describe("request scan: what is accepted", () => {
  it("finds the model with its quotes, in bytes", () => {
    const body = '{"user":"é😀", "model" : "gpt-4o" , "n":1}';
    const scan = accepted(body);
    strictEqual(slice(body, scan.modelStart, scan.modelEnd), '"gpt-4o"');
    strictEqual(scan.modelEscaped, false);
    strictEqual(scan.objectStart, 0);
  });

  it("says when the model has escapes", () => {
    const body = ' {"model":"gpt\\u002d4o"}';
    const scan = accepted(body);
    strictEqual(JSON.parse(slice(body, scan.modelStart, scan.modelEnd)), "gpt-4o");
    strictEqual(scan.modelEscaped, true);
    strictEqual(scan.objectStart, 1);
  });

  it("reports absent members", () => {
    const scan = accepted("{}");
    const { modelStart, modelEnd, optionsStart, optionsEnd, includeUsageStart, includeUsageEnd } = scan;
    deepStrictEqual(
      [modelStart, modelEnd, optionsStart, optionsEnd, includeUsageStart, includeUsageEnd],
      [-1, -1, -1, -1, -1, -1],
    );
    deepStrictEqual(
      [scan.stream, scan.includeUsage, scan.optionsNull, scan.optionsEmpty],
      [false, false, false, false],
    );
  });

  it("reads stream: true, and takes false and null for the default", () => {
    strictEqual(accepted('{"stream":true}').stream, true);
    strictEqual(accepted('{"stream":false}').stream, false);
    strictEqual(accepted('{"stream":null}').stream, false);
  });

  it("finds stream_options and include_usage", () => {
    const body = '{"stream_options":{"x":[1,{"include_usage":9}],"include_usage": true }}';
    const scan = accepted(body);
    strictEqual(slice(body, scan.optionsStart, scan.optionsEnd), body.slice(18, -1));
    strictEqual(slice(body, scan.includeUsageStart, scan.includeUsageEnd), "true");
    deepStrictEqual([scan.includeUsage, scan.optionsNull, scan.optionsEmpty], [true, false, false]);
  });

  it("tells null from empty stream_options", () => {
    const none = accepted('{"stream_options":null}');
    deepStrictEqual([none.optionsNull, none.optionsEmpty], [true, false]);
    const empty = accepted('{"stream_options":{ }}');
    deepStrictEqual([empty.optionsNull, empty.optionsEmpty], [false, true]);
    strictEqual(empty.optionsEnd - empty.optionsStart, 3);
  });

  it("finds an include_usage that is false or null, so that it can be replaced", () => {
    for (const value of ["false", "null"]) {
      const body = `{"stream_options":{"include_usage": ${value} ,"a":{"include_usage":1}}}`;
      const scan = accepted(body);
      strictEqual(slice(body, scan.includeUsageStart, scan.includeUsageEnd), value);
      strictEqual(scan.includeUsage, false);
    }
  });

  it("knows routing members under escaped names", () => {
    const body = '{"\\u006dodel":"m","\\u0073\\u0074ream":true}';
    const scan = accepted(body);
    strictEqual(slice(body, scan.modelStart, scan.modelEnd), '"m"');
    strictEqual(scan.stream, true);
  });

  it("ignores the same names elsewhere", () => {
    const scan = accepted('{"metadata":{"model":1,"stream":2},"messages":[{"model":3},"model"],"Model":4}');
    deepStrictEqual([scan.modelStart, scan.stream], [-1, false]);
  });

  it("counts the text a model reads, without names, files and data URLs", () => {
    strictEqual(accepted('{"messages":[{"content":"12345"},{"content":"é"}]}').textBytes, 7);
    strictEqual(accepted('{"model":"gpt-4o"}').textBytes, 0);
    strictEqual(accepted('{"url":"data:image/png;base64,AAAA"}').textBytes, 0);
    strictEqual(accepted('{"data":"AAAA","file_data":"BBBB"}').textBytes, 0);
  });

  it("forgets the scan before", () => {
    const scan = new RequestScan();
    scan.scan(Buffer.from('{"model":"m","stream":true,"stream_options":{"include_usage":true}}'), DEPTH);
    strictEqual(scan.scan(Buffer.from("{}"), DEPTH), SCAN_OK);
    deepStrictEqual([scan.modelStart, scan.stream, scan.optionsStart, scan.includeUsage], [-1, false, -1, false]);
  });
});

describe("request scan: what is refused", () => {
  it("JSON that is broken, with the byte where it is", () => {
    deepStrictEqual(refusal('{"a":1,}'), { code: SCAN_INVALID, detail: 7 });
    deepStrictEqual(refusal('{"a" 1}'), { code: SCAN_INVALID, detail: 5 });
  });

  it("a bad escape, with the byte of its backslash, in short and long bodies", () => {
    for (const pad of ["", " ".repeat(100)]) {
      deepStrictEqual(refusal(`{"a":"\\x"${pad}}`), { code: SCAN_INVALID, detail: 6 });
      deepStrictEqual(refusal(`{"a":"\\u00g0"${pad}}`), { code: SCAN_INVALID, detail: 6 });
    }
  });

  for (const body of [
    "",
    " ",
    "{",
    "}",
    '{"a"',
    '{"a":',
    '{"a":01}',
    '{"a":"\n"}',
    "{'a':1}",
    '{"a":1}}',
    "\ufeff{}",
  ]) {
    it(`JSON.parse's refusals: ${JSON.stringify(body)}`, () => strictEqual(refusal(body).code, SCAN_INVALID));
  }

  it("bytes that are not UTF-8", () => {
    strictEqual(refusal(Buffer.from('{"a":"\xff"}', "latin1")).code, SCAN_UTF8);
    strictEqual(refusal(Buffer.from('{"a":"\xed\xa0\x80"}', "latin1")).code, SCAN_UTF8);
  });

  it("nesting over the limit, and not nesting at the limit", () => {
    strictEqual(refusal('{"a":[[0]]}', 3).code, SCAN_OK);
    deepStrictEqual(refusal('{"a":[[0]]}', 2), { code: SCAN_TOO_DEEP, detail: 6 });
  });

  it("values that are not objects", () => {
    for (const body of ["[]", '[{"model":"m"}]', '"model"', "1", "null", " true "]) {
      strictEqual(refusal(body).code, SCAN_NOT_OBJECT, body);
    }
  });

  it("routing members of the wrong type, by name", () => {
    deepStrictEqual(fieldAtFault('{"model":1}'), { code: SCAN_WRONG_TYPE, field: "model" });
    deepStrictEqual(fieldAtFault('{"model":null}'), { code: SCAN_WRONG_TYPE, field: "model" });
    deepStrictEqual(fieldAtFault('{"stream":"true"}'), { code: SCAN_WRONG_TYPE, field: "stream" });
    deepStrictEqual(fieldAtFault('{"stream_options":[]}'), { code: SCAN_WRONG_TYPE, field: "stream_options" });
    deepStrictEqual(fieldAtFault('{"stream_options":{"include_usage":1}}'), {
      code: SCAN_WRONG_TYPE,
      field: "stream_options.include_usage",
    });
  });

  it("repeated routing members, in any spelling, by name", () => {
    deepStrictEqual(fieldAtFault('{"model":"a","model":"b"}'), { code: SCAN_DUPLICATE, field: "model" });
    deepStrictEqual(fieldAtFault('{"model":"a","m\\u006fdel":"b"}'), { code: SCAN_DUPLICATE, field: "model" });
    // encoding/json of Go takes the second for the first.
    deepStrictEqual(fieldAtFault('{"model":"a","MoDel":"b"}'), { code: SCAN_DUPLICATE, field: "model" });
    deepStrictEqual(fieldAtFault('{"\\u004dodel":"b","model":"a"}'), { code: SCAN_DUPLICATE, field: "model" });
    strictEqual(accepted('{"MODEL":"b"}').modelStart, -1);
    deepStrictEqual(fieldAtFault('{"stream":true,"a":0,"stream":true}'), { code: SCAN_DUPLICATE, field: "stream" });
    deepStrictEqual(fieldAtFault('{"stream_options":{"include_usage":true,"include_usage":false}}'), {
      code: SCAN_DUPLICATE,
      field: "stream_options.include_usage",
    });
  });
});

it("how many output tokens a request allows: the largest number of its three names, times what it asks for", () => {
  const scan = new RequestScan();
  const allowed = (text: string) => {
    strictEqual(scan.scan(Buffer.from(text), 64), SCAN_OK, text);
    return [scan.outputMax, scan.choices];
  };
  deepStrictEqual(allowed('{"model":"m"}'), [-1, -1]);
  deepStrictEqual(allowed('{"max_tokens":100,"n":3,"model":"m"}'), [100, 3]);
  deepStrictEqual(allowed('{"max_tokens":100,"n":3,"best_of":5}'), [100, 5]);
  deepStrictEqual(allowed('{"max_completion_tokens": 7 , "max_tokens":\n12, "max_output_tokens":11}'), [12, -1]);
  deepStrictEqual(allowed('{"max_tokens":1e3,"n":2.0}'), [1_000, 2]);
  deepStrictEqual(allowed('{"max_tokens":99999999999999999999999}'), [2_147_483_647, -1]);
  for (const value of ["null", '"12"', "[5]", '{"max_tokens":5}', "-5", "true"])
    deepStrictEqual(allowed(`{"max_tokens":${value},"n":${value}}`), [-1, -1]);
  // Below the top it is somebody else's.
  deepStrictEqual(allowed('{"metadata":{"max_tokens":5,"n":5},"stream_options":{"n":4}}'), [-1, -1]);
});
