// Stage 1 by SSE2.
#include "json-steps.h"

#include <emmintrin.h>

#include <cstring>

namespace sluice {
namespace {

// A bit per byte of a step.
struct Masks {
  uint64_t quotes = 0;
  uint64_t backslashes = 0;
  // { } [ ] : ,
  uint64_t structural = 0;
  uint64_t controls = 0;
  uint64_t beyond_ascii = 0;
};

inline uint64_t bits(__m128i bytes, int at) { return static_cast<uint64_t>(static_cast<uint32_t>(_mm_movemask_epi8(bytes))) << at; }

inline void add(Masks& masks, __m128i bytes, int at) {
  const auto is = [](__m128i these, char c) { return _mm_cmpeq_epi8(these, _mm_set1_epi8(c)); };
  // [ and { differ in this bit only, as ] and } do.
  const __m128i curly = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
  const __m128i brackets = _mm_or_si128(is(curly, '{'), is(curly, '}'));
  const __m128i marks = _mm_or_si128(is(bytes, ':'), is(bytes, ','));
  const __m128i last_control = _mm_set1_epi8(0x1f);
  masks.quotes |= bits(is(bytes, '"'), at);
  masks.backslashes |= bits(is(bytes, '\\'), at);
  masks.structural |= bits(_mm_or_si128(brackets, marks), at);
  masks.controls |= bits(_mm_cmpeq_epi8(_mm_max_epu8(bytes, last_control), last_control), at);
  masks.beyond_ascii |= bits(bytes, at);
}

inline Masks masks_of(const uint8_t* step) {
  Masks masks;
  for (int at = 0; at < 64; at += 16) add(masks, _mm_loadu_si128(reinterpret_cast<const __m128i*>(step + at)), at);
  return masks;
}

// Each bit is the parity of the bits up to it.
inline uint64_t parities(uint64_t bits) {
  for (int by = 1; by < 64; by *= 2) bits ^= bits << by;
  return bits;
}

// Bytes that a backslash escapes; a run of backslashes escapes every second byte from its beginning on. The subtraction
// carries along the run. `*escape`: the first byte is escaped; then: the first one behind the step is.
inline uint64_t escaped_bytes(uint64_t backslashes, uint64_t* escape) {
  constexpr uint64_t EVERY_SECOND = 0xaaaaaaaaaaaaaaaa;
  if (backslashes == 0) {
    const uint64_t first = *escape;
    *escape = 0;
    return first;
  }
  const uint64_t starts = backslashes & ~*escape;
  const uint64_t run = (((starts << 1) | EVERY_SECOND) - starts) ^ EVERY_SECOND;
  const uint64_t escaped = run ^ (backslashes | *escape);
  *escape = (run & backslashes) >> 63;
  return escaped;
}

class Run {
 public:
  Run(IndexPlace& place, uint32_t* positions) : place_(place), offset_(static_cast<uint32_t>(place.indexed)), next_(positions) {}

  void step(const uint8_t* bytes) {
    const Masks masks = masks_of(bytes);
    const uint64_t quotes = masks.quotes & ~escaped_bytes(masks.backslashes, &place_.escape);
    const uint64_t strings = parities(quotes) ^ place_.inside;
    place_.inside = static_cast<uint64_t>(static_cast<int64_t>(strings) >> 63);
    misplaced_ |= (masks.backslashes & ~strings) | (masks.controls & strings);
    backslashes_ |= masks.backslashes;
    beyond_ascii_ |= masks.beyond_ascii;
    store((masks.structural & ~strings) | (quotes & strings));
    offset_ += STEP;
  }

  Steps found() const { return {next_, misplaced_ != 0, backslashes_ != 0, beyond_ascii_ != 0}; }

 private:
  void store(uint64_t found) {
    for (; found != 0; found &= found - 1) *next_++ = offset_ + static_cast<uint32_t>(__builtin_ctzll(found));
  }

  IndexPlace& place_;
  uint32_t offset_;
  uint32_t* next_;
  uint64_t misplaced_ = 0;
  uint64_t backslashes_ = 0;
  uint64_t beyond_ascii_ = 0;
};

}  // namespace

Steps steps_portable(IndexPlace& place, const Bytes& piece, uint32_t* positions) {
  Run run(place, positions);
  const uint8_t* p = piece.data;
  const uint8_t* end = p + piece.length / STEP * STEP;
  for (; p != end; p += STEP) run.step(p);
  const size_t rest = piece.length % STEP;
  if (rest == 0) return run.found();
  uint8_t block[STEP];
  std::memset(block, ' ', STEP);
  std::memcpy(block, p, rest);
  run.step(block);
  return run.found();
}

}  // namespace sluice
