// CRC-32 as in zlib and gzip, eight bytes a step.
#pragma once
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

class Crc32 {
 public:
  uint32_t value() const { return ~state_; }

  void feed(const char* data, size_t length) {
    const char* p = data;
    const char* const end = data + length;
    for (; end - p >= 8; p += 8) step(p);
    for (; p < end; p++) state_ = state_ >> 8 ^ CRC32_TABLES[0][(state_ ^ static_cast<uint8_t>(*p)) & 0xff];
  }

 private:
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
