// Which gateway key a request brings, without its SHA-256: tags of keys that were looked up before. One table per thread.
//
// A tag is SipHash-2-4 with 128 bits of the key's bytes, under a secret of 128 random bits that this process made. It is a message
// authentication code: without the secret nobody can find a text with the tag of another one, or learn from how long a
// look-up takes what a tag is. So a text with a known tag is the key that had it, but for a chance of 2^-128 per request, and is not
// hashed again. The table holds tags and numbers of records, no keys.
#pragma once
#include <sys/random.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace sluice {

struct Tag {
  uint64_t low;
  uint64_t high;
};

class SipHash {
 public:
  SipHash(uint64_t k0, uint64_t k1) : k0_(k0), k1_(k1) {}

  // SipHash-2-4-128 of Aumasson and Bernstein's reference, little-endian.
  Tag of(std::string_view text) const {
    uint64_t v0 = k0_ ^ 0x736f6d6570736575, v1 = k1_ ^ 0x646f72616e646f6d ^ 0xee;
    uint64_t v2 = k0_ ^ 0x6c7967656e657261, v3 = k1_ ^ 0x7465646279746573;
    const char* at = text.data();
    for (const char* end = at + text.size() / 8 * 8; at != end; at += 8) absorb(v0, v1, v2, v3, word(at, 8), 2);
    absorb(v0, v1, v2, v3, word(at, text.size() % 8) | (static_cast<uint64_t>(text.size()) << 56), 2);
    v2 ^= 0xee;
    for (int i = 0; i < 4; i++) round(v0, v1, v2, v3);
    const uint64_t low = v0 ^ v1 ^ v2 ^ v3;
    v1 ^= 0xdd;
    for (int i = 0; i < 4; i++) round(v0, v1, v2, v3);
    return {low, v0 ^ v1 ^ v2 ^ v3};
  }

 private:
  static uint64_t word(const char* at, size_t bytes) {
    uint64_t value = 0;
    if (bytes != 0) std::memcpy(&value, at, bytes);
    return value;
  }

  static uint64_t turned(uint64_t x, int bits) { return (x << bits) | (x >> (64 - bits)); }

  static void round(uint64_t& v0, uint64_t& v1, uint64_t& v2, uint64_t& v3) {
    v0 += v1, v1 = turned(v1, 13) ^ v0, v0 = turned(v0, 32);
    v2 += v3, v3 = turned(v3, 16) ^ v2;
    v0 += v3, v3 = turned(v3, 21) ^ v0;
    v2 += v1, v1 = turned(v1, 17) ^ v2, v2 = turned(v2, 32);
  }

  static void absorb(uint64_t& v0, uint64_t& v1, uint64_t& v2, uint64_t& v3, uint64_t message, int rounds) {
    v3 ^= message;
    for (int i = 0; i < rounds; i++) round(v0, v1, v2, v3);
    v0 ^= message;
  }

  uint64_t k0_, k1_;
};

inline SipHash random_hash() {
  uint64_t secret[2];
  if (getrandom(secret, sizeof secret, 0) != sizeof secret) throw std::runtime_error("getrandom");
  return SipHash(secret[0], secret[1]);
}

// Open addressing in a table at most half full. Bounded by its owner: one entry per key of the configuration.
class KeyTags {
 public:
  static constexpr int32_t UNKNOWN = -1;

  // Number of the record, or UNKNOWN. Of an entry all of the tag is compared, without a branch in between.
  int32_t find(std::string_view key) {
    last_ = hash_.of(key);
    if (entries_.empty()) return UNKNOWN;
    return entries_[place_of(last_)].number;
  }

  // The key that find() was given last belongs to this record.
  void remember(int32_t number) {
    if (count_ * 2 >= entries_.size()) grow();
    Entry& entry = entries_[place_of(last_)];
    if (entry.number == UNKNOWN) count_++;
    entry = {last_, number};
  }

  void forget() {
    entries_.clear();
    count_ = 0;
  }

 private:
  struct Entry {
    Tag tag;
    int32_t number;
  };

  static constexpr size_t PLACES_MIN = 16;

  // Of its entry, or of the empty place where it would be.
  size_t place_of(const Tag& tag) const {
    const size_t mask = entries_.size() - 1;
    size_t place = tag.low & mask;
    while (entries_[place].number != UNKNOWN && ((entries_[place].tag.low ^ tag.low) | (entries_[place].tag.high ^ tag.high)) != 0) {
      place = (place + 1) & mask;
    }
    return place;
  }

  void grow() {
    const std::vector<Entry> before = std::move(entries_);
    entries_.assign(before.empty() ? PLACES_MIN : before.size() * 2, Entry{{0, 0}, UNKNOWN});
    for (const Entry& entry : before) {
      if (entry.number != UNKNOWN) entries_[place_of(entry.tag)] = entry;
    }
  }

  SipHash hash_ = random_hash();
  std::vector<Entry> entries_;
  size_t count_ = 0;
  Tag last_{0, 0};
};

}  // namespace sluice
