// Stage 1 in steps of 64 bytes, for bodies that come in pieces, by what every x86-64 CPU has; json-index.cc has the same for AVX-512.
#pragma once
#include "json-index.h"

namespace sluice {

constexpr size_t STEP = 64;

// What a run of steps has found.
struct Steps {
  // Behind the last one.
  uint32_t* positions;
  // A backslash outside of strings, or a control character in one.
  bool misplaced;
  // Escapes have to be looked at.
  bool odd_escapes;
  // There may be a byte that is not ASCII.
  bool beyond_ascii;
};

// From `place` on. Of a length that is no multiple of STEP the rest is the end of the body.
Steps steps_portable(IndexPlace& place, const Bytes& piece, uint32_t* positions);

}  // namespace sluice
