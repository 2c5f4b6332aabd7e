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

// Whether index_json has more than the portable implementation on this CPU.
bool has_wide_index();

}  // namespace sluice
