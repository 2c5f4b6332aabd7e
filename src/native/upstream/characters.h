// The character classes of HTTP (RFC 9110 5.6.2, 5.5), and searches for what is not in them, 16 bytes at a time.
#pragma once
#include <emmintrin.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace sluice::upstream {

constexpr bool is_letter(uint8_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

constexpr bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }

constexpr bool is_token_mark(uint8_t c) {
  for (const char mark : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'}) {
    if (c == static_cast<uint8_t>(mark)) return true;
  }
  return false;
}

constexpr std::array<uint8_t, 256> make_lower_token() {
  std::array<uint8_t, 256> table{};
  for (size_t i = 0; i < table.size(); i++) {
    const uint8_t c = static_cast<uint8_t>(i);
    if (is_letter(c)) table[i] = static_cast<uint8_t>(c | 0x20);
    if (is_digit(c) || is_token_mark(c)) table[i] = c;
  }
  return table;
}

// The lower case of a character of a token; 0 for any other.
inline constexpr std::array<uint8_t, 256> LOWER_TOKEN = make_lower_token();

constexpr bool is_blank(uint8_t c) { return c == ' ' || c == '\t'; }

// What no header value has: control characters but tab.
constexpr bool is_control(uint8_t c) { return (c < 0x20 && c != '\t') || c == 0x7f; }

inline __m128i load16(const void* from) { return _mm_loadu_si128(static_cast<const __m128i*>(from)); }

// One bit per byte that is at least `low` and at most `high`, which are below 0x80.
inline __m128i between(__m128i bytes, char low, char high) {
  const __m128i above = _mm_cmpgt_epi8(bytes, _mm_set1_epi8(static_cast<char>(low - 1)));
  return _mm_and_si128(above, _mm_cmplt_epi8(bytes, _mm_set1_epi8(static_cast<char>(high + 1))));
}

// First control character in [p, end), or end.
inline const uint8_t* find_control(const uint8_t* p, const uint8_t* end) {
  const __m128i low_max = _mm_set1_epi8(0x1f);
  for (; end - p >= 16; p += 16) {
    const __m128i bytes = load16(p);
    const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, low_max), bytes);
    const __m128i tab = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\t'));
    const __m128i wrong = _mm_or_si128(_mm_andnot_si128(tab, low), _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f)));
    const int mask = _mm_movemask_epi8(wrong);
    if (mask != 0) return p + __builtin_ctz(static_cast<unsigned>(mask));
  }
  while (p < end && !is_control(*p)) p++;
  return p;
}

// Writes the token that begins at `p`, in lower case, to `out`, which has room for `length_max` + 16 bytes. Its length; more than
// `length_max`: it is longer than that.
inline size_t lower_token(const uint8_t* p, const uint8_t* end, char* out, size_t length_max) {
  size_t length = 0;
  while (length <= length_max && p + length < end) {
    if (end - (p + length) >= 16) {
      const __m128i bytes = load16(p + length);
      const __m128i folded = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
      const __m128i letters = between(folded, 'a', 'z');
      const __m128i others = _mm_or_si128(between(bytes, '0', '9'), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-')));
      const __m128i lower = _mm_or_si128(bytes, _mm_and_si128(letters, _mm_set1_epi8(0x20)));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + length), lower);
      const unsigned usual = static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(letters, others)));
      const unsigned count = static_cast<unsigned>(__builtin_ctz(~usual));
      length += count;
      if (count == 16 || length > length_max) continue;
    }
    const uint8_t c = LOWER_TOKEN[p[length]];
    if (c == 0) return length;
    out[length++] = static_cast<char>(c);
  }
  return length;
}

}  // namespace sluice::upstream
