/**
 * Proof that the comparison of parsers works: parsers whose sources are wrong in one small place each must be caught.
 */
import { ok, strictEqual } from "node:assert/strict";
import { describe, it } from "node:test";
import { changedParserAddon, parserAddon, type SourceChange } from "../support/parser-addon.ts";
import { disagreement } from "./http-comparison.ts";
import { mutateResponse } from "./http-mutation.ts";
import { nativeReader, type Reader } from "./http-reading.ts";
import { HttpResponseMaker } from "./http-response-maker.ts";
import { Random } from "./random.ts";

const RESPONSES_MAX = 10_000;
/** Fixed: what is tested here is the rig, on the same responses each time. */
const SEED = 20_260_101;

const FAULTS: Readonly<Record<string, SourceChange>> = {
  "takes a second Content-Length": {
    file: "head-reader.cc",
    from: "if (head_.content_length >= 0) return",
    to: "if (head_.content_length > 1e9) return",
  },
  "takes a Content-Length beside a Transfer-Encoding": {
    file: "response-parser.cc",
    from: "if (head.chunked && head.content_length >= 0) return",
    to: "if (head.chunked && head.content_length > 1e9) return",
  },
  "takes a line that ends with any control character and LF": {
    file: "head-reader.cc",
    from: "if (*field->line_end != '\\r') return",
    to: "if (*field->line_end == '\\0') return",
  },
  "takes a CR with anything behind it": {
    file: "head-reader.cc",
    from: "if (field->line_end[1] != '\\n') return",
    to: "if (field->line_end[1] == '\\0') return",
  },
  "takes DEL in values": {
    file: "characters.h",
    from: "_mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f))",
    to: "_mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x01))",
  },
  "takes a blank before the colon": {
    file: "head-reader.cc",
    from: "  at += field->name_length;\n",
    to: "  at += field->name_length;\n  if (at < end && *at == ' ') { at++; field->name_length++; }\n",
  },
  "does not see a tab behind chunked": {
    file: "head-reader.cc",
    from: "const bool tab = std::memchr(",
    to: "const bool tab = false && std::memchr(",
  },
  "takes Connection: close for an option like any other": {
    file: "head-reader.cc",
    from: 'is_word(option, end, "close")',
    to: 'is_word(option, end, "cloze")',
  },
  "sends on what Connection names": {
    file: "head-reader.cc",
    from: "if (named_.length() != 0) remove_named();",
    to: "",
  },
  "does not look at the end of a chunk": {
    file: "chunk-reader.cc",
    from: "return c == wanted ? then",
    to: "return c != 0 ? then",
  },
  "takes a size that ends with any character": {
    file: "chunk-reader.cc",
    from: "if (c == '\\r') return State::SIZE_LF;",
    to: "if (c != ';') return State::SIZE_LF;",
  },
  "loses the first byte of a chunk that is moved": {
    file: "response-parser.cc",
    from: "std::memmove(start + gathered, at, piece);",
    to: "std::memmove(start + gathered, at, piece), start[gathered] = 0;",
  },
  "forgets the beginning of a line that is cut": {
    file: "head-reader.cc",
    from: "kept_.append(at, count);",
    to: "kept_.append(at, count > 1 ? count - 1 : count);",
  },
  "gives a 204 a body": {
    file: "response-parser.cc",
    from: "head_request_ || head.status == NO_CONTENT || ",
    to: "head_request_ || ",
  },
  "takes a cut body for a whole one": {
    file: "response-parser.cc",
    from: 'return left_ == 0 ? end() : fail("closed before the end of the body");',
    to: "return end();",
  },
};

/** Responses that the rig tried until it caught the reader; RESPONSES_MAX: it did not. */
function responsesUntilCaught(reader: Reader): number {
  const random = new Random(SEED);
  for (let tried = 0; tried < RESPONSES_MAX; tried += 1) {
    const maker = new HttpResponseMaker(random);
    const made = random.chance(0.3)
      ? maker.hostile()
      : random.chance(0.3)
        ? maker.valid()
        : mutateResponse(random, maker.valid());
    if (disagreement(reader, random, made) !== null) return tried;
  }
  return RESPONSES_MAX;
}

describe("the comparison catches a parser that", { concurrency: 2 }, () => {
  for (const [fault, change] of Object.entries(FAULTS)) {
    it(fault, async () => ok(responsesUntilCaught(nativeReader(await changedParserAddon(change))) < RESPONSES_MAX));
  }

  it("and not the real one, on the same responses", async () => {
    strictEqual(responsesUntilCaught(nativeReader(await parserAddon())), RESPONSES_MAX);
  });
});
