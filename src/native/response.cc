// The response scan: finds usage, content size, completeness and the event borders in the bytes of an answer as they
// pass, in chunks of any size. Gateway worker, main thread.
//
// Nothing is buffered: a small state machine follows the JSON structure (depth, key path, strings) over chunk borders,
// inside the framing of server-sent events or over one JSON document. It trusts nothing: garbage only means that nothing
// is found. Key names are matched on the path where providers put them:
//   usage.* and response.usage.* and x_groq.usage.* (OpenAI chat, Responses, Groq), choices[].delta|message, output[]
#include <emmintrin.h>

#include <cstring>
#include <vector>

#include "addon.h"

namespace sluice {
namespace {

enum Key : uint8_t {
  OTHER, ARRAY, USAGE, RESPONSE, X_GROQ, CHOICES, OUTPUT, DELTA, TYPE, ERROR_KEY, FINISH_REASON,
  CONTENT, INPUT_TOKENS, OUTPUT_TOKENS, INPUT_DETAILS, OUTPUT_DETAILS, CACHED_TOKENS, REASONING_TOKENS
};

struct Name {
  const char* text;
  Key key;
};

constexpr Name NAMES[] = {
    {"usage", USAGE}, {"response", RESPONSE}, {"x_groq", X_GROQ}, {"choices", CHOICES}, {"output", OUTPUT},
    {"delta", DELTA}, {"type", TYPE}, {"error", ERROR_KEY}, {"finish_reason", FINISH_REASON},
    {"content", CONTENT}, {"reasoning_content", CONTENT}, {"reasoning", CONTENT}, {"refusal", CONTENT},
    {"text", CONTENT}, {"arguments", CONTENT},
    {"prompt_tokens", INPUT_TOKENS}, {"input_tokens", INPUT_TOKENS},
    {"completion_tokens", OUTPUT_TOKENS}, {"output_tokens", OUTPUT_TOKENS},
    {"prompt_tokens_details", INPUT_DETAILS}, {"input_tokens_details", INPUT_DETAILS},
    {"completion_tokens_details", OUTPUT_DETAILS}, {"output_tokens_details", OUTPUT_DETAILS},
    {"cached_tokens", CACHED_TOKENS}, {"reasoning_tokens", REASONING_TOKENS}};

// Flags of responseFeed; src/providers/response-scan.ts has the same list.
enum Flag : int32_t { USAGE_SEEN = 1, FINISHED = 2, TERMINAL = 4, ERROR_SEEN = 8, JSON_COMPLETE = 16, STRIPPABLE = 32 };

// Slots of the feed result: offsets into the chunk.
enum FeedOut : int32_t {
  BOUNDARY = 0,     // after the last event that ended in this chunk; -1: none ended
  STRIP_START = 1,  // of the usage event; -1: it began in an earlier chunk
  STRIP_END = 2,
  FEED_OUT_LENGTH = 3
};

// Slots of responseUsage.
enum UsageOut : int32_t { U_INPUT, U_OUTPUT, U_CACHED, U_REASONING, U_CONTENT_BYTES, U_DELTAS, USAGE_OUT_LENGTH };

constexpr uint32_t PATH_DEPTH = 12;
constexpr uint32_t TYPED_DEPTH = 64;
constexpr uint32_t SLOTS_MAX = 16384;
constexpr uint32_t DONE_LENGTH = 6;
// A provider that reports more tokens than this is not believed: the figure stays an exact integer in a double.
constexpr double TOKENS_MAX = 1e12;

Key key_named(const char* text, size_t length) {
  for (const Name& name : NAMES) {
    if (name.text[0] == text[0] && std::strlen(name.text) == length && std::memcmp(name.text, text, length) == 0) return name.key;
  }
  return OTHER;
}

bool is_terminal_type(const char* text, size_t length) {
  const auto is = [&](const char* name) { return std::strlen(name) == length && std::memcmp(name, text, length) == 0; };
  return is("response.completed") || is("response.failed") || is("response.incomplete") || is("error");
}

// First quote or backslash in [p, end).
const uint8_t* find_string_end(const uint8_t* p, const uint8_t* end) {
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i backslash = _mm_set1_epi8('\\');
  for (; end - p >= 16; p += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const int mask = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)));
    if (mask != 0) return p + __builtin_ctz(static_cast<unsigned>(mask));
  }
  while (p < end && *p != '"' && *p != '\\') p++;
  return p;
}

// First CR or LF in [p, end).
const uint8_t* find_line_end(const uint8_t* p, const uint8_t* end) {
  const __m128i lf = _mm_set1_epi8('\n');
  const __m128i cr = _mm_set1_epi8('\r');
  for (; end - p >= 16; p += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const int mask = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(bytes, lf), _mm_cmpeq_epi8(bytes, cr)));
    if (mask != 0) return p + __builtin_ctz(static_cast<unsigned>(mask));
  }
  while (p < end && *p != '\n' && *p != '\r') p++;
  return p;
}

// Follows one JSON document. `reset` begins the next one; figures are kept until they are replaced by later ones.
class JsonFollower {
 public:
  void reset() {
    depth_ = 0;
    state_ = State::BETWEEN;
    expect_key_ = false;
    path_[0] = OTHER;
    usage_here = choices_empty = error_here = complete = false;
  }

  void feed(const uint8_t* p, const uint8_t* end) {
    while (p < end) {
      switch (state_) {
        case State::BETWEEN: p = between(p); break;
        case State::STRING: p = string(p, end); break;
        case State::ESCAPE: p = escape(p); break;
        case State::NUMBER: p = number(p); break;
      }
    }
  }

  double figures[USAGE_OUT_LENGTH] = {};
  bool usage_here = false;      // this document has a usage object with counts
  bool choices_empty = false;   // this document has "choices": []
  bool error_here = false;      // this document has a top-level "error" that is not null
  bool complete = false;        // a whole value was seen
  bool finished = false;        // ever: a finish_reason that is not null
  bool terminal = false;        // ever: a Responses event that ends the stream

 private:
  enum class State : uint8_t { BETWEEN, STRING, ESCAPE, NUMBER };

  bool in_object() const { return depth_ > 0 && depth_ <= TYPED_DEPTH && ((objects_ >> (depth_ - 1)) & 1); }
  Key at(uint32_t depth) const { return depth <= depth_ && depth < PATH_DEPTH ? path_[depth] : OTHER; }

  const uint8_t* between(const uint8_t* p) {
    const uint8_t c = *p;
    switch (c) {
      case '"': begin_string(); break;
      case '{': open(true); break;
      case '[': open(false); break;
      case '}':
      case ']': close(c == ']'); break;
      case ',': expect_key_ = in_object(); break;
      case ':': case ' ': case '\n': case '\r': case '\t': break;
      default: return begin_scalar(p);
    }
    return p + 1;
  }

  void open(bool object) {
    begin_value();
    depth_++;
    if (depth_ <= TYPED_DEPTH) {
      const uint64_t bit = uint64_t{1} << (depth_ - 1);
      objects_ = object ? objects_ | bit : objects_ & ~bit;
    }
    if (depth_ < PATH_DEPTH) path_[depth_] = object ? OTHER : ARRAY;
    expect_key_ = object && depth_ <= TYPED_DEPTH;
    choices_open_ = depth_ == 2 && !object && path_[1] == CHOICES;
    if (object && depth_ == 2 && path_[1] == ERROR_KEY) error_here = true;
  }

  void close(bool array) {
    if (array && choices_open_ && depth_ == 2) choices_empty = true;
    choices_open_ = false;
    expect_key_ = false;
    if (depth_ > 0) depth_--;
    if (depth_ == 0) complete = true;
  }

  void begin_value() {
    choices_open_ = false;
    expect_key_ = false;
  }

  void begin_string() {
    is_key_ = expect_key_;
    begin_value();
    const Key key = depth_ < PATH_DEPTH ? path_[depth_] : OTHER;
    captures_ = is_key_ || (depth_ == 1 && key == TYPE);
    counts_ = !is_key_ && counted(key);
    if (!is_key_ && key == FINISH_REASON) finished = true;
    if (!is_key_ && depth_ == 1 && key == ERROR_KEY) error_here = true;
    captured_ = 0;
    if (counts_) figures[U_DELTAS] += 1;
    state_ = State::STRING;
  }

  // What the model wrote: under choices and output, or the delta of a Responses event (whose other events repeat it).
  bool counted(Key key) const {
    const Key top = at(1);
    if (depth_ == 1) return key == DELTA;
    return key == CONTENT && (top == CHOICES || top == OUTPUT);
  }

  const uint8_t* string(const uint8_t* p, const uint8_t* end) {
    const uint8_t* stop = find_string_end(p, end);
    if (captures_) capture(p, static_cast<size_t>(stop - p));
    if (counts_) figures[U_CONTENT_BYTES] += static_cast<double>(stop - p);
    if (stop == end) return end;
    if (*stop == '\\') {
      state_ = State::ESCAPE;
    } else {
      end_string();
    }
    return stop + 1;
  }

  // \uXXXX stands for up to three bytes of UTF-8, and its digits are counted with the string; so minus one.
  const uint8_t* escape(const uint8_t* p) {
    captured_ = sizeof captured_text_ + 1;
    if (counts_) figures[U_CONTENT_BYTES] += *p == 'u' ? -1 : 1;
    state_ = State::STRING;
    return p + 1;
  }

  void capture(const uint8_t* p, size_t length) {
    if (captured_ + length > sizeof captured_text_) {
      captured_ = sizeof captured_text_ + 1;
      return;
    }
    std::memcpy(captured_text_ + captured_, p, length);
    captured_ += static_cast<uint32_t>(length);
  }

  void end_string() {
    state_ = State::BETWEEN;
    const bool whole = captures_ && captured_ > 0 && captured_ <= sizeof captured_text_;
    if (is_key_) {
      if (depth_ < PATH_DEPTH) path_[depth_] = whole ? key_named(captured_text_, captured_) : OTHER;
    } else if (whole && is_terminal_type(captured_text_, captured_)) {
      terminal = true;
    }
    if (depth_ == 0) complete = true;
  }

  const uint8_t* begin_scalar(const uint8_t* p) {
    begin_value();
    figure_ = -1;
    if (*p >= '0' && *p <= '9') {
      figure_ = figure_at_path();
      number_ = 0;
      whole_ = true;
    }
    state_ = State::NUMBER;
    return p;
  }

  // Which usage figure the current path names, or -1.
  int figure_at_path() const {
    const uint32_t base = at(1) == USAGE ? 1 : (at(1) == RESPONSE || at(1) == X_GROQ) && at(2) == USAGE ? 2 : 0;
    if (base == 0) return -1;
    const Key key = at(base + 1);
    if (depth_ == base + 1) return key == INPUT_TOKENS ? U_INPUT : key == OUTPUT_TOKENS ? U_OUTPUT : -1;
    if (depth_ != base + 2) return -1;
    const Key inner = at(base + 2);
    if (key == INPUT_DETAILS && inner == CACHED_TOKENS) return U_CACHED;
    return key == OUTPUT_DETAILS && inner == REASONING_TOKENS ? U_REASONING : -1;
  }

  // Numbers, true, false, null: up to the next structural byte.
  const uint8_t* number(const uint8_t* p) {
    const uint8_t c = *p;
    if (c == ',' || c == '}' || c == ']' || c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '"' || c == '{' || c == '[' || c == ':') {
      end_number();
      return p;
    }
    if (c < '0' || c > '9') whole_ = false;
    if (whole_ && figure_ >= 0 && number_ <= TOKENS_MAX) number_ = number_ * 10 + (c - '0');
    return p + 1;
  }

  void end_number() {
    state_ = State::BETWEEN;
    if (depth_ == 0) complete = true;
    if (figure_ < 0 || !whole_ || number_ > TOKENS_MAX) return;
    figures[figure_] = number_;
    if (figure_ <= U_OUTPUT) usage_here = true;
  }

  uint64_t objects_ = 0;
  double number_ = 0;
  uint32_t depth_ = 0;
  uint32_t captured_ = 0;
  int figure_ = -1;
  State state_ = State::BETWEEN;
  bool expect_key_ = false;
  bool is_key_ = false;
  bool captures_ = false;
  bool counts_ = false;
  bool whole_ = false;
  bool choices_open_ = false;
  Key path_[PATH_DEPTH] = {};
  char captured_text_[28];
};

// Server-sent events (WHATWG HTML 9.2.6): lines end with CR, LF or CRLF, an empty line ends an event.
class Scanner {
 public:
  void begin(bool events) { *this = Scanner(events); }
  Scanner() = default;

  int32_t feed(const uint8_t* data, size_t length, int32_t* out) {
    out[BOUNDARY] = out[STRIP_START] = out[STRIP_END] = -1;
    if (events_) {
      feed_events(data, data + length, out);
    } else {
      json_.feed(data, data + length);
      settle_document();
    }
    return flags_ | (json_.finished ? FINISHED : 0) | (json_.terminal ? TERMINAL : 0);
  }

  const double* figures() const { return json_.figures; }
  bool open = false;

 private:
  explicit Scanner(bool events) : open(true), events_(events) { json_.reset(); }

  void feed_events(const uint8_t* data, const uint8_t* end, int32_t* out) {
    const uint8_t* p = data;
    event_start_ = event_begun_ ? -1 : 0;
    while (p < end) {
      if (skip_lf_) {
        skip_lf_ = false;
        if (*p == '\n') {
          p++;
          border(static_cast<int32_t>(p - data), out);
          continue;
        }
      }
      const uint8_t* line_end = find_line_end(p, end);
      line(p, line_end);
      if (line_end == end) return;
      p = line_end + 1;
      skip_lf_ = *line_end == '\r';
      end_line(static_cast<int32_t>(p - data), out);
    }
  }

  // The LF of a CRLF belongs to the line before it: moves a border that was set at the CR.
  void border(int32_t offset, int32_t* out) {
    if (event_begun_) return;
    if (out[STRIP_END] == out[BOUNDARY] && out[STRIP_END] >= 0) out[STRIP_END] = offset;
    out[BOUNDARY] = offset;
    event_start_ = offset;
  }

  void line(const uint8_t* p, const uint8_t* end) {
    if (p == end) return;
    event_begun_ = true;
    while (p < end && name_length_ < 5) name_[name_length_++] = static_cast<char>(*p++);
    if (name_length_ < 5 || std::memcmp(name_, "data:", 5) != 0) return;
    watch_done(p, end);
    json_.feed(p, end);
  }

  // "[DONE]" with at most one space before it.
  void watch_done(const uint8_t* p, const uint8_t* end) {
    for (; p < end && done_matched_ < DONE_LENGTH; p++) {
      if (*p == ' ' && done_matched_ == 0) continue;
      if (*p != static_cast<uint8_t>("[DONE]"[done_matched_])) {
        done_matched_ = DONE_LENGTH + 1;
      } else if (++done_matched_ == DONE_LENGTH) {
        flags_ |= TERMINAL;
      }
    }
  }

  void end_line(int32_t offset, int32_t* out) {
    const bool empty = name_length_ == 0;
    name_length_ = 0;
    if (!empty) return;
    if (event_begun_) end_event(offset, out);
    event_begun_ = false;
    event_start_ = offset;
    out[BOUNDARY] = offset;
  }

  void end_event(int32_t offset, int32_t* out) {
    const bool strippable = json_.usage_here && json_.choices_empty && !(flags_ & STRIPPABLE);
    settle_document();
    if (strippable) {
      flags_ |= STRIPPABLE;
      out[STRIP_START] = event_start_;
      out[STRIP_END] = offset;
    }
    done_matched_ = 0;
    json_.reset();
  }

  void settle_document() {
    if (json_.usage_here) flags_ |= USAGE_SEEN;
    if (json_.error_here) flags_ |= ERROR_SEEN;
    if (json_.complete && done_matched_ != DONE_LENGTH) flags_ |= JSON_COMPLETE;
  }

  JsonFollower json_;
  int32_t flags_ = 0;
  int32_t event_start_ = 0;
  uint32_t name_length_ = 0;
  uint32_t done_matched_ = 0;
  bool events_ = false;
  bool event_begun_ = false;
  bool skip_lf_ = false;
  char name_[5];
};

// Slots of this thread. A deque-like growth is not needed: the vector grows to what was in flight at once and stays.
struct Slots {
  std::vector<Scanner> all;
  std::vector<uint32_t> free;

  int32_t take(bool events) {
    if (free.empty()) {
      if (all.size() == SLOTS_MAX) return -1;
      free.push_back(static_cast<uint32_t>(all.size()));
      all.emplace_back();
    }
    const uint32_t slot = free.back();
    free.pop_back();
    all[slot].begin(events);
    return static_cast<int32_t>(slot);
  }

  Scanner* at(uint32_t slot) { return slot < all.size() && all[slot].open ? &all[slot] : nullptr; }

  void give_back(uint32_t slot) {
    all[slot].open = false;
    free.push_back(slot);
  }
};

thread_local Slots slots;

napi_value number(napi_env env, int32_t value) {
  napi_value result = nullptr;
  napi_create_int32(env, value, &result);
  return result;
}

Scanner* scanner_of(napi_env env, napi_value value) {
  uint32_t slot = 0;
  if (!ok(env, napi_get_value_uint32(env, value, &slot))) return nullptr;
  Scanner* scanner = slots.at(slot);
  if (scanner == nullptr) napi_throw_range_error(env, "SLUICE_SCANNER", "this response scanner is not open");
  return scanner;
}

void* typed(napi_env env, napi_value value, napi_typedarray_type wanted, size_t length_min) {
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (!ok(env, napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr))) return nullptr;
  if (type == wanted && length >= length_min) return data;
  napi_throw_type_error(env, "SLUICE_SCANNER", "the result array has the wrong type or length");
  return nullptr;
}

// responseOpen(events: boolean): slot, or -1 when all are taken
napi_value response_open(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  bool events = false;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  if (!ok(env, napi_get_value_bool(env, argv[0], &events))) return nullptr;
  return number(env, slots.take(events));
}

// responseFeed(slot, chunk: Uint8Array, out: Int32Array): flags
napi_value response_feed(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3];
  Bytes chunk;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  Scanner* scanner = scanner_of(env, argv[0]);
  if (scanner == nullptr || !bytes_of(env, argv[1], &chunk)) return nullptr;
  void* out = typed(env, argv[2], napi_int32_array, FEED_OUT_LENGTH);
  if (out == nullptr) return nullptr;
  return number(env, scanner->feed(chunk.data, chunk.length, static_cast<int32_t*>(out)));
}

// responseUsage(slot, out: Float64Array): void
napi_value response_usage(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  Scanner* scanner = scanner_of(env, argv[0]);
  if (scanner == nullptr) return nullptr;
  void* out = typed(env, argv[1], napi_float64_array, USAGE_OUT_LENGTH);
  if (out != nullptr) std::memcpy(out, scanner->figures(), sizeof(double) * USAGE_OUT_LENGTH);
  return nullptr;
}

// responseClose(slot): void
napi_value response_close(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  uint32_t slot = 0;
  if (scanner_of(env, argv[0]) == nullptr || !ok(env, napi_get_value_uint32(env, argv[0], &slot))) return nullptr;
  slots.give_back(slot);
  return nullptr;
}

// responsesOpen(): how many slots are taken
napi_value responses_open(napi_env env, napi_callback_info) {
  return number(env, static_cast<int32_t>(slots.all.size() - slots.free.size()));
}

}  // namespace

void register_response(napi_env env, napi_value exports) {
  define(env, exports, "responseOpen", response_open);
  define(env, exports, "responseFeed", response_feed);
  define(env, exports, "responseUsage", response_usage);
  define(env, exports, "responseClose", response_close);
  define(env, exports, "responsesOpen", responses_open);
}

}  // namespace sluice
