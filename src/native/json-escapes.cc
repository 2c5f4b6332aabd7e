// Escapes of a whole body: plain, and 32 bytes at a time where the CPU has AVX2.
#include "json-escapes.h"

#include <immintrin.h>

#include <cstring>

namespace sluice {
namespace {

inline bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }

int hex_digit(uint8_t c) {
  if (is_digit(c)) return c - '0';
  const uint8_t lower = c | 0x20;
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

int hex4(const uint8_t* p, const uint8_t* end) {
  if (end - p < 4) return -1;
  int value = 0;
  for (int i = 0; i < 4; i++) {
    const int digit = hex_digit(p[i]);
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

namespace {

// Returns the backslash of the first bad escape, or `end`.
const uint8_t* check_escapes_plain(const uint8_t* p, const uint8_t* end) {
  while (p < end) {
    p = static_cast<const uint8_t*>(std::memchr(p, '\\', static_cast<size_t>(end - p)));
    if (p == nullptr) return end;
    if (end - p < 2 || std::memchr("\"\\/bfnrtu", p[1], 9) == nullptr) return p;
    if (p[1] == 'u' && hex4(p + 2, end) < 0) return p;
    p += 2;
  }
  return end;
}

// Bytes that may follow a backslash, by nibbles: lo[low] & hi[high] is not 0 for these nine only.
alignas(16) constexpr uint8_t ESCAPED_LOW[16] = {0, 0, 13, 0, 8, 8, 4, 0, 0, 0, 0, 0, 2, 0, 4, 1};
alignas(16) constexpr uint8_t ESCAPED_HIGH[16] = {0, 0, 1, 0, 0, 2, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0};

// Of 32 bytes and the ones before them: bit set: escaped and not allowed; `*unicode`: escaped u.
__attribute__((target("avx2"))) inline uint32_t bad_escapes(__m256i bytes, __m256i escaped, uint32_t* unicode) {
  const __m256i nibble = _mm256_set1_epi8(15);
  const __m256i low_table = _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(ESCAPED_LOW)));
  const __m256i high_table = _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(ESCAPED_HIGH)));
  const __m256i low = _mm256_shuffle_epi8(low_table, _mm256_and_si256(bytes, nibble));
  const __m256i high = _mm256_shuffle_epi8(high_table, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble));
  const __m256i refused = _mm256_cmpeq_epi8(_mm256_and_si256(low, high), _mm256_setzero_si256());
  *unicode = static_cast<uint32_t>(
      _mm256_movemask_epi8(_mm256_and_si256(escaped, _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('u')))));
  return static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_and_si256(refused, escaped)));
}

// The same as check_escapes_plain, 32 bytes at a time. A body with "\\" in it goes the plain way from there.
__attribute__((target("avx2"))) const uint8_t* check_escapes_avx2(const uint8_t* start, const uint8_t* end) {
  const __m256i backslash = _mm256_set1_epi8('\\');
  const uint8_t* p = start + 1;
  for (; end - p >= 32; p += 32) {
    const __m256i before = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p - 1));
    const __m256i escaped = _mm256_cmpeq_epi8(before, backslash);
    if (_mm256_testz_si256(escaped, escaped)) continue;
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    if (!_mm256_testz_si256(escaped, _mm256_cmpeq_epi8(bytes, backslash))) return check_escapes_plain(p - 1, end);
    uint32_t unicode = 0;
    const uint32_t bad = bad_escapes(bytes, escaped, &unicode);
    if (bad != 0) return p + __builtin_ctz(bad) - 1;
    for (; unicode != 0; unicode &= unicode - 1) {
      const uint8_t* u = p + __builtin_ctz(unicode);
      if (hex4(u + 1, end) < 0) return u - 1;
    }
  }
  return check_escapes_plain(p - 1, end);
}

const bool HAS_AVX2 = __builtin_cpu_supports("avx2");

}  // namespace

const uint8_t* check_escapes(const uint8_t* start, const uint8_t* end) {
  return HAS_AVX2 && end - start > 32 ? check_escapes_avx2(start, end) : check_escapes_plain(start, end);
}

}  // namespace sluice
