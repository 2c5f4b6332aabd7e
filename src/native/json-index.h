// The JSON index: stage 1 of the request scan. It finds the structural characters of a body, { } [ ] : , and the opening quotes
// of strings, and checks what can be checked without grammar: UTF-8, escapes, control characters, closed strings. Two
// implementations: 64 bytes a step where the CPU has AVX-512 (VBMI2, GFNI), else simdjson's stage 1. The first leaves out where
// scalars begin, which costs a quarter of its time: they are what stands between two positions. Gateway worker, main thread; its memory is kept for the next body.
#pragma once
#include "addon.h"

namespace sluice {

// Result codes of a scan; src/providers/request-scan.ts has the same list.
enum Code : int32_t { OK = 0, INVALID = 1, UTF8 = 2, TOO_DEEP = 3, NOT_OBJECT = 4, DUPLICATE = 5, WRONG_TYPE = 6, MEMORY = 7 };

struct JsonIndex {
  Code code = MEMORY;
  // Byte of the body with the error; -1: not known.
  int32_t error_at = -1;
  // Room for two more behind the last one. Valid until the next body.
  uint32_t* positions = nullptr;
  uint32_t count = 0;
};

// `length` is below 2^31. `portable`: by simdjson, also where the CPU could do more (tests compare the two).
JsonIndex index_json(const Bytes& body, bool portable);

constexpr uint32_t NOWHERE = UINT32_MAX;

// Where the index of a body stands that comes in pieces. Offsets are bytes into the body.
struct IndexPlace {
  // Whole steps of 64 bytes are taken; what is left of a piece after them is taken with the next one.
  size_t indexed = 0;
  // All ones: `indexed` is in a string.
  uint64_t inside = 0;
  // 1: it is escaped.
  uint64_t escape = 0;
  // Up to here characters are whole and right, and escapes are.
  size_t characters = 0;
  size_t escapes = 0;
  // There was a control character: white space between lines.
  bool lines = false;
  // The position that the walk left over.
  uint32_t waiting = NOWHERE;

  size_t right() const { return characters < escapes ? characters : escapes; }
  // What stands at `from` or behind it now stands `delta` bytes further on.
  void shift(size_t from, ptrdiff_t delta);
};

// Of what has come of a body since the piece before: `waiting`, and the positions that were found. `last`: the body ends here.
JsonIndex index_piece(IndexPlace& place, const Bytes& body, bool last, bool portable);

// Whether index_json has more than the portable implementation on this CPU.
bool has_wide_index();

}  // namespace sluice
