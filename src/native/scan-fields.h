// What a request scan tells: the routing fields by their names, and the array in which JavaScript finds their offsets.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>


#include "json-escapes.h"

namespace sluice {

// Routing fields; the number goes to `out[DETAIL]` with DUPLICATE and WRONG_TYPE.
enum Field : int32_t { NONE = 0, MODEL = 1, STREAM = 2, STREAM_OPTIONS = 3, INCLUDE_USAGE = 4,
  // From here on they decide nothing but estimates: any type is taken, and of several numbers the largest counts, of users the last.
  OUTPUT_TOKENS = 5, CHOICES = 6, USER = 7,
  // Something that only a scan looks at that looks for more (scan-look.h).
  LOOKED_FOR = 8 };

// What a request may ask for, by its bit: base/features.ts.
enum Feature : int32_t { TOOLS = 1, IMAGES = 2, JSON_OBJECT = 4, JSON_SCHEMA = 8 };
// Beside them, and none that a target may lack: `input` or `prompt` is a list.
constexpr int32_t LISTED = 16;

constexpr size_t LOOKED_FOR_MAX = 16;

// Slots of the result array. Offsets are bytes into the body; -1: absent.
enum Out : int32_t {
  DETAIL = 0,         // byte of the error, or the Field
  OBJECT_START = 1,   // of the outer "{"
  MODEL_START = 2,    // of the opening quote
  MODEL_END = 3,      // after the closing quote
  MODEL_ESCAPED = 4,  // 1: the string has a backslash
  STREAM_VALUE = 5,   // 1: true
  OPTIONS_START = 6,  // of the value of stream_options
  OPTIONS_END = 7,
  OPTIONS_KIND = 8,   // 0 absent, 1 null, 2 {}, 3 object with members
  USAGE_START = 9,    // of the value of stream_options.include_usage
  USAGE_END = 10,
  USAGE_VALUE = 11,   // 1: true
  TEXT_BYTES = 12,    // sum of the string values that a model would read
  CHECKED = 13,       // bytes that were found right, of a body that comes in pieces (scan-parts.cc)
  SEEN = 14,          // bit (1 << Field): its key has come
  STREAM_WHOLE = 15,  // 1: the value of stream has come
  OUTPUT_MAX = 16,    // the largest of max_tokens, max_completion_tokens and max_output_tokens
  CHOICE_COUNT = 17,  // the larger of n and best_of
  USER_START = 18,    // of user, its opening quote if it is a string; -1: it is null, an object or a list
  USER_END = 19,
  // Of a scan that looks for more:
  FEATURES = 20,      // bits of Feature, and LISTED
  FOUND = 21,         // of each field that it looks for, start and end of its value; no end: it is an object or array
  OUT_LENGTH = FOUND + 2 * LOOKED_FOR_MAX
};

inline void clear_fields(int32_t* out) {
  for (int i = 0; i < FEATURES; i++) out[i] = -1;
  out[MODEL_ESCAPED] = out[STREAM_VALUE] = out[OPTIONS_KIND] = out[USAGE_VALUE] = out[TEXT_BYTES] = 0;
  out[CHECKED] = out[SEEN] = out[STREAM_WHOLE] = 0;
}

// Memory of exports.scanned, the array that JavaScript reads: finding it once per thread instead of with each call saves a tenth of
// the scan of a small body.
extern thread_local int32_t* scanned;

namespace {

// A key with escapes, unescaped as far as a routing field's name can be (ASCII, 31 bytes).
inline size_t unescape_ascii(const uint8_t* p, const uint8_t* end, char* out, size_t capacity) {
  size_t n = 0;
  while (p < end) {
    int c = *p++;
    if (c == '\\') {
      if (*p != 'u') return 0;
      c = hex4(p + 1, end);
      p += 5;
    }
    if (c < 0x20 || c > 0x7e || n == capacity) return 0;
    out[n++] = static_cast<char>(c);
  }
  return n;
}

inline bool equals(const char* text, size_t length, const char* name) {
  return length == std::strlen(name) && std::memcmp(text, name, length) == 0;
}

// In any case of its letters.
inline bool spells(const char* text, size_t length, const char* name) {
  if (length != std::strlen(name)) return false;
  for (size_t i = 0; i < length; i++) {
    const char lower = text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] | 0x20) : text[i];
    if (lower != name[i]) return false;
  }
  return true;
}

// A routing field by its name. Providers written in Go take "Model" for "model" (encoding/json), so a name in other case is
// not the field for us, but its repetition.
struct Named {
  Field field;
  bool exact;
};

inline Named field_named(const char* key, size_t length, size_t depth) {
  const auto is = [&](const char* name, Field field) {
    return spells(key, length, name) ? Named{field, std::memcmp(key, name, length) == 0} : Named{NONE, false};
  };
  if (depth == 2) return is("include_usage", INCLUDE_USAGE);
  switch (length) {
    case 1: return is("n", CHOICES);
    case 4: return is("user", USER);
    case 5: return is("model", MODEL);
    case 6: return is("stream", STREAM);
    case 7: return is("best_of", CHOICES);
    case 10: return is("max_tokens", OUTPUT_TOKENS);
    case 14: return is("stream_options", STREAM_OPTIONS);
    case 17: return is("max_output_tokens", OUTPUT_TOKENS);
    case 21: return is("max_completion_tokens", OUTPUT_TOKENS);
    default: return {NONE, false};
  }
}

inline Named field_of(const uint8_t* start, const uint8_t* end, size_t depth) {
  const size_t length = static_cast<size_t>(end - start);
  if (std::memchr(start, '\\', length) == nullptr) {
    return field_named(reinterpret_cast<const char*>(start), length, depth);
  }
  char plain[32];
  return field_named(plain, unescape_ascii(start, end, plain, sizeof plain), depth);
}

}  // namespace
}  // namespace sluice
