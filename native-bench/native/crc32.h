// CRC-32 as in zlib and gzip. Long input is folded 64 bytes a step with carry-less multiplications, where the processor has them:
// checking an answer must cost less than reading it, and a table takes three times as long as the read.
#pragma once
#include <emmintrin.h>
#include <smmintrin.h>
#include <wmmintrin.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace bench {

using Crc32Tables = std::array<std::array<uint32_t, 256>, 8>;

constexpr Crc32Tables make_crc32_tables() {
  Crc32Tables tables{};
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    tables[0][byte] = crc;
  }
  for (size_t slice = 1; slice < 8; slice++) {
    for (size_t byte = 0; byte < 256; byte++) {
      const uint32_t before = tables[slice - 1][byte];
      tables[slice][byte] = before >> 8 ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

inline constexpr Crc32Tables CRC32_TABLES = make_crc32_tables();

#define BENCH_CLMUL __attribute__((target("pclmul,sse4.1")))

// "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction", Intel 2009; the constants are those of its
// bit-reflected CRC-32: powers of x modulo the polynomial, and the polynomial with its quotient.
class Crc32Folding {
 public:
  static constexpr size_t BYTES_MIN = 64;

  // `length`: a multiple of 16 from BYTES_MIN on. `state`: as Crc32 keeps it.
  BENCH_CLMUL static uint32_t fold(const char* p, size_t length, uint32_t state) {
    __m128i lanes[4] = {load(p), load(p + 16), load(p + 32), load(p + 48)};
    lanes[0] = _mm_xor_si128(lanes[0], _mm_cvtsi32_si128(static_cast<int>(state)));
    const char* const end = p + length;
    const __m128i by_64 = _mm_set_epi64x(0x01c6e41596, 0x0154442bd4);
    for (p += 64; end - p >= 64; p += 64) {
      for (int lane = 0; lane < 4; lane++) lanes[lane] = step(lanes[lane], by_64, load(p + 16 * lane));
    }
    const __m128i by_16 = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0);
    __m128i sum = lanes[0];
    for (int lane = 1; lane < 4; lane++) sum = step(sum, by_16, lanes[lane]);
    for (; p < end; p += 16) sum = step(sum, by_16, load(p));
    return reduce(sum, by_16);
  }

 private:
  BENCH_CLMUL static __m128i load(const char* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }

  BENCH_CLMUL static __m128i step(__m128i sum, __m128i by, __m128i next) {
    const __m128i low = _mm_clmulepi64_si128(sum, by, 0x00);
    const __m128i high = _mm_clmulepi64_si128(sum, by, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), next);
  }

  // 128 bits to 64, to 32 (Barrett).
  BENCH_CLMUL static uint32_t reduce(__m128i sum, __m128i by_16) {
    const __m128i words = _mm_setr_epi32(-1, 0, -1, 0);
    const __m128i polynomial = _mm_set_epi64x(0x01f7011641, 0x01db710641);
    sum = _mm_xor_si128(_mm_srli_si128(sum, 8), _mm_clmulepi64_si128(sum, by_16, 0x10));
    const __m128i low = _mm_clmulepi64_si128(_mm_and_si128(sum, words), _mm_set_epi64x(0, 0x0163cd6124), 0x00);
    sum = _mm_xor_si128(_mm_srli_si128(sum, 4), low);
    __m128i quotient = _mm_clmulepi64_si128(_mm_and_si128(sum, words), polynomial, 0x10);
    quotient = _mm_clmulepi64_si128(_mm_and_si128(quotient, words), polynomial, 0x00);
    return static_cast<uint32_t>(_mm_extract_epi32(_mm_xor_si128(sum, quotient), 1));
  }
};

class Crc32 {
 public:
  uint32_t value() const { return ~state_; }

  void feed(const char* data, size_t length) {
    const char* p = data;
    const char* const end = data + length;
    if (length >= Crc32Folding::BYTES_MIN && can_fold()) {
      const size_t folded = length & ~size_t{15};
      state_ = Crc32Folding::fold(p, folded, state_);
      p += folded;
    }
    for (; end - p >= 8; p += 8) step(p);
    for (; p < end; p++) state_ = state_ >> 8 ^ CRC32_TABLES[0][(state_ ^ static_cast<uint8_t>(*p)) & 0xff];
  }

 private:
  static bool can_fold() { return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1"); }

  void step(const char* p) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    word ^= state_;
    uint32_t crc = 0;
    for (size_t byte = 0; byte < 8; byte++) crc ^= CRC32_TABLES[7 - byte][word >> (8 * byte) & 0xff];
    state_ = crc;
  }

  uint32_t state_ = 0xffffffff;
};

}  // namespace bench
