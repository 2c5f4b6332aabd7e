// What the response parser does with a header of a given name. Filled once per process, from the list of the pipeline; read by
// every parser.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace sluice::upstream {

// Names whose values the parser or the pipeline reads.
enum class HeaderKind : uint8_t {
  OTHER, CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION, CONTENT_TYPE, CONTENT_ENCODING, REQUEST_ID, KEEP_ALIVE
};

class HeaderRules {
 public:
  static constexpr size_t NAME_LENGTH_MAX = 31;

  struct Rule {
    char name[NAME_LENGTH_MAX];  // lower case
    uint8_t length = 0;          // 0: an empty place of the table
    HeaderKind kind = HeaderKind::OTHER;
    bool dropped = false;        // not for the client
  };

  // `head_bytes_max`: of one response, all its heads (also those of 1xx), and of its trailers.
  explicit HeaderRules(uint32_t head_bytes_max);

  // A name (lower case) that clients do not get; false: too long, or too many. Framing (content-length, transfer-encoding,
  // connection) never gets to them.
  bool drop(const char* name, size_t length);

  // nullptr: a header like any other. `name`: lower case.
  const Rule* find(const char* name, size_t length) const {
    for (size_t at = place(name, length);; at = (at + 1) % PLACES) {
      const Rule& rule = rules_[at];
      if (rule.length == 0) return nullptr;
      if (rule.length == length && std::memcmp(rule.name, name, length) == 0) return &rule;
    }
  }

  uint32_t head_bytes_max() const { return head_bytes_max_; }

 private:
  static constexpr size_t PLACES = 256;
  static constexpr size_t RULES_MAX = 128;

  // No two of the usual names share a length, a first, a middle and a last character.
  static size_t place(const char* name, size_t length) {
    if (length == 0) return 0;
    const auto at = [name](size_t i) { return static_cast<uint8_t>(name[i]); };
    return (length * 29u + at(0) * 5u + at(length / 2) * 17u + at(length - 1)) % PLACES;
  }

  Rule* enter(const char* name, size_t length);

  uint32_t head_bytes_max_;
  size_t count_ = 0;
  Rule rules_[PLACES];
};

}  // namespace sluice::upstream
