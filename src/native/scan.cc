// The request scan: checks all of a JSON body and finds the few fields the gateway needs, as offsets into the client's bytes.
// Gateway worker, main thread.
//
// Stage 1 (json-index.h) finds the structural positions; the walk below checks the grammar over them. Accepts exactly what
// JSON.parse accepts in valid UTF-8 (fuzzed against it), up to a depth. Duplicate routing fields are refused, so that
// nobody can disagree about which one counts.
#include <cstring>

#include "addon.h"
#include "json-escapes.h"
#include "json-index.h"

namespace sluice {
namespace {

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

inline bool is_space(uint8_t c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
inline bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }

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

// Checks the grammar over the structural positions. It takes most of the time of a scan after stage 1: a state machine whose
// states are labels, so that each has branches of its own to predict, over a cursor that the compiler keeps in registers.
class Walk {
 public:
  Walk(const Bytes& body, const JsonIndex& index, size_t depth_max, int32_t* out)
      : body_(body.data), length_(body.length), positions_(index.positions), count_(index.count), depth_max_(depth_max), out_(out) {}

  Code run() {
    // Behind the last position the cursor meets the first one again. No first byte of a value is right where a key, a comma or
    // an end is due, so only where a value is due the cursor has to be compared with the count.
    if (count_ == 0) positions_[0] = 0;
    positions_[count_] = positions_[count_ + 1] = positions_[0];
    const Code code = walk();
    if (code != OK) return code;
    out_[OBJECT_START] = static_cast<int32_t>(positions_[0]);
    return count_ > 0 && body_[positions_[0]] == '{' ? OK : fail(NOT_OBJECT, 0);
  }

 private:
  Code walk() {
    uint32_t i = 0;
    // Behind the position before the cursor: from here on only white space, or a scalar, may stand in front of the cursor's.
    size_t gap = 0;
    bool object = false;
    goto value;

  key: {
    const size_t start = positions_[i];
    const size_t end = positions_[i + 1];
    if (body_[start] != '"' || !blank(gap, start)) return invalid(i);
    if (!set_string(start, end, i)) return fail(INVALID, behind_string(start));
    if (body_[end] != ':') return invalid(i + 1);
    key_start_ = start + 1;
    key_end_ = last_end_ - 1;
    gap = end + 1;
    i += 2;
    if (depth_ == 1 || (depth_ == 2 && in_options_)) {
      const Code code = begin_field(gap, i);
      if (code != OK) return code;
    }
  }

  value: {
    const size_t start = positions_[i];
    if (i >= count_) {
      gap = skip_space(gap, length_);
      if (depth_ > 0 || gap == length_) return invalid(i);
      return scalar(gap, length_) ? OK : fail(INVALID, static_cast<int32_t>(gap));
    }
    if (gap != start) {
      gap = skip_space(gap, start);
      if (gap != start) {
        if (!scalar(gap, start)) return fail(INVALID, static_cast<int32_t>(gap));
        goto after;
      }
    }
    const uint8_t c = body_[start];
    const size_t next = positions_[i + 1];
    if (c == '"') {
      if (!set_string(start, next, i)) return fail(INVALID, behind_string(start));
      count_text(start);
      i++;
      goto after;
    }
    if (c != '{' && c != '[') {
      // A scalar whose beginning is a position, or something that is not a value.
      if (!scalar(start, i + 1 < count_ ? next : length_)) return invalid(i);
      i++;
      goto after;
    }
    object = c == '{';
    if (depth_ == depth_max_) return fail(TOO_DEEP, static_cast<int32_t>(start));
    push(object);
    gap = start + 1;
    i++;
    if (body_[next] == (object ? '}' : ']') && blank(gap, next)) goto close;
    if (object) goto key;
    goto value;
  }

  after: {
    if (depth_ <= 2) {
      if (depth_ == 0) return i == count_ ? OK : invalid(i);
      if (pending_ != NONE || in_options_) end_field();
    }
    const size_t at = positions_[i];
    const uint8_t c = body_[at];
    if (c == ',') {
      gap = at + 1;
      i++;
      if (object) goto key;
      goto value;
    }
    if (c != (object ? '}' : ']')) return invalid(i);
  }

  close: {
    last_end_ = positions_[i] + size_t{1};
    i++;
    if (!blank(last_end_, i < count_ ? positions_[i] : length_)) return invalid(i);
    object = pop();
    goto after;
  }
  }

  void push(bool object) {
    objects_[depth_] = object;
    depth_++;
  }

  // Whether it is an object that goes on.
  bool pop() {
    depth_--;
    return depth_ > 0 && objects_[depth_ - 1];
  }

  size_t skip_space(size_t from, size_t to) const {
    while (from < to && is_space(body_[from])) from++;
    return from;
  }

  bool blank(size_t from, size_t to) const { return from == to || skip_space(from, to) == to; }

  // The value stands at position `value`, or is a scalar between `gap` and it.
  Code begin_field(size_t gap, uint32_t value) {
    const auto [field, exact] = field_of(body_ + key_start_, body_ + key_end_, depth_);
    if (field == NONE) return OK;
    if (seen_ & (1u << field)) return fail(DUPLICATE, field);
    seen_ |= 1u << field;
    if (!exact) return OK;
    return value < count_ ? start_field(field, skip_space(gap, positions_[value]), value) : invalid(value);
  }

  // Types are checked at the first byte; the value itself is walked like any other.
  Code start_field(Field field, size_t start, uint32_t value) {
    const uint8_t c = body_[start];
    const int32_t at = static_cast<int32_t>(start);
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

  // Sets `last_end_` behind the string at position `i`, which is in front of the next position and the white space before that.
  // What stands there is its closing quote, unless the string is followed by something else.
  bool set_string(size_t start, size_t next, uint32_t i) {
    last_end_ = next;
    // The position behind the last one is the first one again, and so never right here.
    if (next > start + 1 && body_[next - 1] == '"') return true;
    last_end_ = trim(start, i + 1 < count_ ? next : length_);
    return last_end_ >= start + 2 && body_[last_end_ - 1] == '"';
  }

  // Where something follows the string at `start` that may not; stage 1 guarantees that it is closed.
  int32_t behind_string(size_t start) const {
    size_t at = start + 1;
    while (body_[at] != '"') at += body_[at] == '\\' ? 2 : 1;
    return static_cast<int32_t>(skip_space(at + 1, length_));
  }

  size_t trim(size_t start, size_t end) const {
    while (end > start && is_space(body_[end - 1])) end--;
    return end;
  }

  // A scalar and white space behind it in [start, end).
  bool scalar(size_t start, size_t end) {
    last_end_ = trim(start, end);
    const char* text = reinterpret_cast<const char*>(body_ + start);
    const size_t length = last_end_ - start;
    switch (*text) {
      case 't': return equals(text, length, "true");
      case 'f': return equals(text, length, "false");
      case 'n': return equals(text, length, "null");
      default: return number_valid(body_ + start, body_ + last_end_);
    }
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
  bool objects_[DEPTH_MAX];
};

Code scan(const Bytes& body, size_t depth_max, bool portable, int32_t* out) {
  if (body.length == 0) return INVALID;
  const JsonIndex index = index_json(body, portable);
  if (index.code != OK) {
    out[DETAIL] = index.error_at;
    return index.code;
  }
  Walk walk(body, index, depth_max, out);
  const Code code = walk.run();
  out[TEXT_BYTES] = walk.text_bytes();
  return code;
}

void clear(int32_t* out) {
  for (int i = 0; i < OUT_LENGTH; i++) out[i] = -1;
  out[MODEL_ESCAPED] = out[STREAM_VALUE] = out[OPTIONS_KIND] = out[USAGE_VALUE] = out[TEXT_BYTES] = 0;
}

// Memory of `scanned`, the array that JavaScript reads: finding it once per thread instead of with each call saves a tenth of
// the scan of a small body.
thread_local int32_t* scanned = nullptr;

napi_value scan_call(napi_env env, napi_callback_info info, bool portable) {
  size_t argc = 2;
  napi_value argv[2];
  Bytes body;
  uint32_t depth_max = 0;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr)) || !bytes_of(env, argv[0], &body)) return nullptr;
  if (!ok(env, napi_get_value_uint32(env, argv[1], &depth_max))) return nullptr;
  if (depth_max > DEPTH_MAX || body.length > INT32_MAX) {
    napi_throw_range_error(env, "SLUICE_SCAN", "scanRequest: depth or body out of range");
    return nullptr;
  }
  clear(scanned);
  napi_value result = nullptr;
  napi_create_int32(env, scan(body, depth_max, portable, scanned), &result);
  return result;
}

// scanRequest(body: Uint8Array, depthMax: number): code; the fields are in `scanned`
napi_value scan_request(napi_env env, napi_callback_info info) { return scan_call(env, info, false); }

// The same without what only this CPU can do.
napi_value scan_request_portable(napi_env env, napi_callback_info info) { return scan_call(env, info, true); }

// Makes exports.scanned, and holds it as long as the environment lives.
void define_scanned(napi_env env, napi_value exports) {
  void* data = nullptr;
  napi_value buffer = nullptr;
  napi_value array = nullptr;
  napi_ref held = nullptr;
  if (!ok(env, napi_create_arraybuffer(env, OUT_LENGTH * sizeof(int32_t), &data, &buffer))) return;
  if (!ok(env, napi_create_typedarray(env, napi_int32_array, OUT_LENGTH, buffer, 0, &array))) return;
  if (!ok(env, napi_create_reference(env, buffer, 1, &held))) return;
  if (ok(env, napi_set_named_property(env, exports, "scanned", array))) scanned = static_cast<int32_t*>(data);
}

void define_wide(napi_env env, napi_value exports) {
  napi_value wide = nullptr;
  if (ok(env, napi_get_boolean(env, has_wide_index(), &wide))) ok(env, napi_set_named_property(env, exports, "scanIsWide", wide));
}

}  // namespace

void register_scan(napi_env env, napi_value exports) {
  define(env, exports, "scanRequest", scan_request);
  define(env, exports, "scanRequestPortable", scan_request_portable);
  define_scanned(env, exports);
  define_wide(env, exports);
}

}  // namespace sluice
