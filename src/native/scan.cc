// The request scan: one pass over a JSON body that checks all of it and finds the few fields the gateway needs, as
// offsets into the client's bytes. Gateway worker, main thread.
//
// simdjson's stage 1 (SIMD: UTF-8, strings, control characters, structural positions) does the heavy part; the walk
// below checks the grammar over those positions. Accepts exactly what JSON.parse accepts in valid UTF-8 (fuzzed against
// it), up to a depth. Duplicate routing fields are refused, so that nobody can disagree about which one counts.
#include <immintrin.h>

#include <cstring>
#include <memory>

#include "addon.h"
#include "simdjson.h"

namespace sluice {
namespace {

using simdjson::internal::dom_parser_implementation;

// Result codes; src/providers/request-scan.ts has the same list.
enum Code : int32_t { OK = 0, INVALID = 1, UTF8 = 2, TOO_DEEP = 3, NOT_OBJECT = 4, DUPLICATE = 5, WRONG_TYPE = 6, MEMORY = 7 };

// Routing fields; the number goes to `out[DETAIL]` with DUPLICATE and WRONG_TYPE.
enum Field : int32_t { NONE = 0, MODEL = 1, STREAM = 2, STREAM_OPTIONS = 3, INCLUDE_USAGE = 4 };

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
  OUT_LENGTH = 13
};

constexpr size_t DEPTH_MAX = 1024;
// Structural positions take four bytes per body byte: what a larger body needs is given back after its scan.
constexpr size_t KEPT_CAPACITY = 256 * 1024;

inline bool is_space(uint8_t c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
inline bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }

int hex_digit(uint8_t c) {
  if (is_digit(c)) return c - '0';
  const uint8_t lower = c | 0x20;
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Value of four hex digits, or -1.
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

// Escapes (RFC 8259 section 7) are checked for the whole body at once, not string by string: a backslash outside of a
// string fails in the walk anyway. Returns the backslash of the first bad escape, or `end`.
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

const uint8_t* check_escapes(const uint8_t* start, const uint8_t* end) {
  return HAS_AVX2 && end - start > 32 ? check_escapes_avx2(start, end) : check_escapes_plain(start, end);
}

const uint8_t* skip_digits(const uint8_t* p, const uint8_t* end) {
  while (p < end && is_digit(*p)) p++;
  return p;
}

// RFC 8259 section 6; the whole of [p, end) must be one number.
bool number_valid(const uint8_t* p, const uint8_t* end) {
  if (p < end && *p == '-') p++;
  if (p == end || !is_digit(*p)) return false;
  p = *p == '0' ? p + 1 : skip_digits(p, end);
  if (p < end && *p == '.') {
    const uint8_t* digits = p + 1;
    p = skip_digits(digits, end);
    if (p == digits) return false;
  }
  if (p < end && (*p | 0x20) == 'e') {
    p++;
    if (p < end && (*p == '+' || *p == '-')) p++;
    const uint8_t* digits = p;
    p = skip_digits(digits, end);
    if (p == digits) return false;
  }
  return p == end;
}

// A key with escapes, unescaped as far as a routing field's name can be (ASCII, 31 bytes).
size_t unescape_ascii(const uint8_t* p, const uint8_t* end, char* out, size_t capacity) {
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

Named field_named(const char* key, size_t length, size_t depth) {
  const auto is = [&](const char* name, Field field) {
    return spells(key, length, name) ? Named{field, std::memcmp(key, name, length) == 0} : Named{NONE, false};
  };
  if (depth == 2) return is("include_usage", INCLUDE_USAGE);
  switch (length) {
    case 5: return is("model", MODEL);
    case 6: return is("stream", STREAM);
    case 14: return is("stream_options", STREAM_OPTIONS);
    default: return {NONE, false};
  }
}

Named field_of(const uint8_t* start, const uint8_t* end, size_t depth) {
  const size_t length = static_cast<size_t>(end - start);
  if (std::memchr(start, '\\', length) == nullptr) {
    return field_named(reinterpret_cast<const char*>(start), length, depth);
  }
  char plain[32];
  return field_named(plain, unescape_ascii(start, end, plain, sizeof plain), depth);
}

// Checks the grammar over the structural positions. A state machine in one loop over local variables: it takes most of the
// time of a scan after stage 1, and the compiler keeps the cursor in registers only this way.
class Walk {
 public:
  Walk(const uint8_t* body, size_t length, uint32_t* positions, uint32_t count, size_t depth_max, int32_t* out)
      : body_(body), length_(length), positions_(positions), count_(count), depth_max_(depth_max), out_(out) {}

  Code run() {
    const uint32_t first = positions_[0];
    // Behind the last position the cursor meets the first one again. No first byte of a value is right where a key, a comma or
    // an end is due, so only where a value is due the cursor has to be compared with the count.
    positions_[count_] = positions_[count_ + 1] = first;
    const Code code = walk();
    if (code != OK) return code;
    out_[OBJECT_START] = static_cast<int32_t>(first);
    return body_[first] == '{' ? OK : fail(NOT_OBJECT, 0);
  }

 private:
  enum class State { KEY, VALUE, AFTER, CLOSE };

  Code walk() {
    uint32_t i = 0;
    State state = State::VALUE;
    for (;;) {
      const uint32_t at = positions_[i];
      const uint8_t c = body_[at];
      switch (state) {
        case State::KEY: {
          if (c != '"' || !set_string(i)) return invalid(i);
          if (body_[positions_[i + 1]] != ':') return invalid(i + 1);
          key_start_ = at + 1;
          key_end_ = last_end_ - 1;
          if (depth_ == 1 || (depth_ == 2 && in_options_)) {
            const Code code = begin_field(i + 2);
            if (code != OK) return code;
          }
          i += 2;
          state = State::VALUE;
          break;
        }
        case State::VALUE:
          if (c == '"') {
            if (i >= count_ || !set_string(i)) return invalid(i);
            count_text(at);
            state = State::AFTER;
          } else if (c == '{' || c == '[') {
            if (i >= count_) return invalid(i);
            if (depth_ == depth_max_) return fail(TOO_DEEP, static_cast<int32_t>(at));
            const bool object = c == '{';
            push(object);
            if (body_[positions_[i + 1]] == (object ? '}' : ']')) state = State::CLOSE;
            else if (object) state = State::KEY;
          } else {
            if (i >= count_ || !scalar(i, c)) return invalid(i);
            state = State::AFTER;
          }
          i++;
          break;
        case State::AFTER:
          if (depth_ <= 2) {
            if (depth_ == 0) return i == count_ ? OK : invalid(i);
            if (pending_ != NONE || in_options_) end_field();
          }
          if (c == ',') {
            state = in_object() ? State::KEY : State::VALUE;
            i++;
          } else if (c == (in_object() ? '}' : ']')) {
            state = State::CLOSE;
          } else {
            return invalid(i);
          }
          break;
        case State::CLOSE:
          last_end_ = at + 1;
          i++;
          depth_--;
          state = State::AFTER;
          break;
      }
    }
  }

  void push(bool object) {
    uint64_t& word = objects_[depth_ / 64];
    const uint64_t bit = uint64_t{1} << (depth_ % 64);
    word = object ? word | bit : word & ~bit;
    depth_++;
  }

  bool in_object() const { return (objects_[(depth_ - 1) / 64] >> ((depth_ - 1) % 64)) & 1; }

  Code begin_field(uint32_t value) {
    const auto [field, exact] = field_of(body_ + key_start_, body_ + key_end_, depth_);
    if (field == NONE) return OK;
    if (seen_ & (1u << field)) return fail(DUPLICATE, field);
    seen_ |= 1u << field;
    if (!exact) return OK;
    return value < count_ ? start_field(field, value) : invalid(value);
  }

  // Types are checked at the first byte; the value itself is walked like any other.
  Code start_field(Field field, uint32_t value) {
    const uint8_t c = body_[positions_[value]];
    const int32_t at = static_cast<int32_t>(positions_[value]);
    pending_ = field;
    switch (field) {
      case MODEL:
        if (c != '"') return fail(WRONG_TYPE, field);
        out_[MODEL_START] = at;
        return OK;
      case STREAM:
        if (c != 't' && c != 'f' && c != 'n') return fail(WRONG_TYPE, field);
        out_[STREAM_VALUE] = c == 't';
        return OK;
      case STREAM_OPTIONS:
        if (c != '{' && c != 'n') return fail(WRONG_TYPE, field);
        out_[OPTIONS_START] = at;
        out_[OPTIONS_KIND] = c == 'n' ? 1 : body_[positions_[value + 1]] == '}' ? 2 : 3;
        in_options_ = c == '{';
        return OK;
      default:
        if (c != 't' && c != 'f' && c != 'n') return fail(WRONG_TYPE, field);
        out_[USAGE_START] = at;
        out_[USAGE_VALUE] = c == 't';
        return OK;
    }
  }

  void end_field() {
    const int32_t end = static_cast<int32_t>(last_end_);
    if (depth_ == 2 && pending_ == INCLUDE_USAGE) out_[USAGE_END] = end;
    if (depth_ == 1 && pending_ == MODEL) {
      out_[MODEL_END] = end;
      out_[MODEL_ESCAPED] = std::memchr(body_ + out_[MODEL_START], '\\', static_cast<size_t>(end - out_[MODEL_START])) != nullptr;
    }
    if (depth_ == 1 && out_[OPTIONS_START] >= 0 && out_[OPTIONS_END] < 0) {
      out_[OPTIONS_END] = end;
      in_options_ = false;
    }
    pending_ = NONE;
  }

  // Sets `last_end_` to where the token at position `i` ends: in front of the next one and the white space before it.
  void set_end(uint32_t i) {
    const size_t start = positions_[i];
    size_t end = i + 1 < count_ ? positions_[i + 1] : length_;
    while (end > start && is_space(body_[end - 1])) end--;
    last_end_ = end;
  }

  // Stage 1 guarantees that a string is closed before the next position.
  bool set_string(uint32_t i) {
    set_end(i);
    return last_end_ >= positions_[i] + size_t{2} && body_[last_end_ - 1] == '"';
  }

  bool scalar(uint32_t i, uint8_t c) {
    set_end(i);
    const char* text = reinterpret_cast<const char*>(body_ + positions_[i]);
    const size_t length = last_end_ - positions_[i];
    if (c == 't') return equals(text, length, "true");
    if (c == 'f') return equals(text, length, "false");
    if (c == 'n') return equals(text, length, "null");
    return number_valid(body_ + positions_[i], body_ + last_end_);
  }

  // Text that a model reads, for estimates: not names, not inline files (data URLs, base64 in "data" members).
  void count_text(size_t start) {
    const size_t bytes = last_end_ - start - 2;
    if (!is_file(body_ + start + 1, bytes) && !names_file()) text_bytes_ += bytes;
  }

  static bool is_file(const uint8_t* text, size_t bytes) {
    return bytes >= 5 && text[0] == 'd' && std::memcmp(text, "data:", 5) == 0;
  }

  bool names_file() const {
    const char* key = reinterpret_cast<const char*>(body_ + key_start_);
    switch (key_end_ - key_start_) {
      case 4: return std::memcmp(key, "data", 4) == 0;
      case 5: return std::memcmp(key, "model", 5) == 0;
      case 9: return std::memcmp(key, "file_data", 9) == 0;
      default: return false;
    }
  }

  Code invalid(uint32_t i) { return fail(INVALID, static_cast<int32_t>(i < count_ ? positions_[i] : length_)); }
  Code fail(Code code, int32_t detail) {
    out_[DETAIL] = detail;
    return code;
  }

 public:
  int32_t text_bytes() const { return static_cast<int32_t>(text_bytes_ < INT32_MAX ? text_bytes_ : INT32_MAX); }

 private:
  const uint8_t* const body_;
  const size_t length_;
  uint32_t* const positions_;
  const uint32_t count_;
  const size_t depth_max_;
  int32_t* const out_;
  size_t depth_ = 0;
  size_t last_end_ = 0;
  size_t key_start_ = 0;
  size_t key_end_ = 0;
  size_t text_bytes_ = 0;
  uint32_t seen_ = 0;
  Field pending_ = NONE;
  bool in_options_ = false;
  // Not cleared: a bit is written before it is read.
  uint64_t objects_[DEPTH_MAX / 64];
};

std::unique_ptr<dom_parser_implementation> new_parser(size_t capacity) {
  std::unique_ptr<dom_parser_implementation> parser;
  simdjson::active_implementation->create_dom_parser_implementation(capacity, 1, parser);
  return parser;
}

Code code_of(simdjson::error_code error) {
  switch (error) {
    case simdjson::SUCCESS: return OK;
    case simdjson::UTF8_ERROR: return UTF8;
    case simdjson::MEMALLOC: return MEMORY;
    default: return INVALID;
  }
}

Code scan_with(dom_parser_implementation* parser, const Bytes& body, size_t depth_max, int32_t* out) {
  if (parser == nullptr) return MEMORY;
  const Code code = code_of(parser->stage1(body.data, body.length, false));
  if (code != OK) return code;
  const uint8_t* end = body.data + body.length;
  const uint8_t* bad = check_escapes(body.data, end);
  if (bad != end) {
    out[DETAIL] = static_cast<int32_t>(bad - body.data);
    return INVALID;
  }
  Walk walk(body.data, body.length, parser->structural_indexes.get(), parser->n_structural_indexes, depth_max, out);
  const Code shape = walk.run();
  out[TEXT_BYTES] = walk.text_bytes();
  return shape;
}

Code scan(const Bytes& body, size_t depth_max, int32_t* out) {
  static thread_local std::unique_ptr<dom_parser_implementation> kept;
  if (body.length > KEPT_CAPACITY) return scan_with(new_parser(body.length).get(), body, depth_max, out);
  if (kept == nullptr) kept = new_parser(KEPT_CAPACITY);
  return scan_with(kept.get(), body, depth_max, out);
}

void clear(int32_t* out) {
  for (int i = 0; i < OUT_LENGTH; i++) out[i] = -1;
  out[MODEL_ESCAPED] = out[STREAM_VALUE] = out[OPTIONS_KIND] = out[USAGE_VALUE] = out[TEXT_BYTES] = 0;
}

// scanRequest(body: Uint8Array, depthMax: number, out: Int32Array): code
napi_value scan_request(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3];
  Bytes body;
  uint32_t depth_max = 0;
  napi_typedarray_type type;
  size_t out_length = 0;
  void* out = nullptr;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr)) || !bytes_of(env, argv[0], &body)) return nullptr;
  if (!ok(env, napi_get_value_uint32(env, argv[1], &depth_max))) return nullptr;
  if (!ok(env, napi_get_typedarray_info(env, argv[2], &type, &out_length, &out, nullptr, nullptr))) return nullptr;
  if (type != napi_int32_array || out_length < OUT_LENGTH || depth_max > DEPTH_MAX || body.length > INT32_MAX) {
    napi_throw_range_error(env, "SLUICE_SCAN", "scanRequest: out, depth or body out of range");
    return nullptr;
  }
  int32_t* fields = static_cast<int32_t*>(out);
  clear(fields);
  napi_value result = nullptr;
  napi_create_int32(env, scan(body, depth_max, fields), &result);
  return result;
}

}  // namespace

void register_scan(napi_env env, napi_value exports) { define(env, exports, "scanRequest", scan_request); }

}  // namespace sluice
