// Follows one JSON document over chunk borders and picks the figures of an answer out of it. Part of the response scan.
//
// Nothing is buffered and nothing is trusted: a small state machine knows depth, key path and strings, and garbage only
// means that nothing is found. Key names are matched on the path where providers put them:
//   usage.* and response.usage.* and x_groq.usage.* (OpenAI chat, Responses, Groq), choices[].delta|message, output[]
#pragma once
#include <emmintrin.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace sluice {

enum Key : uint8_t {
  OTHER, ARRAY, USAGE, RESPONSE, X_GROQ, CHOICES, OUTPUT, DELTA, TYPE, ERROR_KEY, FINISH_REASON,
  CONTENT, INPUT_TOKENS, OUTPUT_TOKENS, INPUT_DETAILS, OUTPUT_DETAILS, CACHED_TOKENS, REASONING_TOKENS
};

struct Name {
  std::string_view text;
  Key key;
};

// By length.
constexpr Name NAMES[] = {
    {"text", CONTENT}, {"type", TYPE},
    {"delta", DELTA}, {"error", ERROR_KEY}, {"usage", USAGE},
    {"output", OUTPUT}, {"x_groq", X_GROQ},
    {"choices", CHOICES}, {"content", CONTENT}, {"refusal", CONTENT},
    {"response", RESPONSE},
    {"arguments", CONTENT}, {"reasoning", CONTENT},
    {"input_tokens", INPUT_TOKENS},
    {"cached_tokens", CACHED_TOKENS}, {"finish_reason", FINISH_REASON}, {"output_tokens", OUTPUT_TOKENS}, {"prompt_tokens", INPUT_TOKENS},
    {"reasoning_tokens", REASONING_TOKENS},
    {"completion_tokens", OUTPUT_TOKENS}, {"reasoning_content", CONTENT},
    {"input_tokens_details", INPUT_DETAILS},
    {"output_tokens_details", OUTPUT_DETAILS}, {"prompt_tokens_details", INPUT_DETAILS},
    {"completion_tokens_details", OUTPUT_DETAILS}};
constexpr size_t NAMES_COUNT = sizeof NAMES / sizeof *NAMES;
constexpr size_t NAME_LENGTH_MAX = 25;

// Index of the first name of at least this length.
constexpr std::array<uint8_t, NAME_LENGTH_MAX + 2> make_name_begins() {
  std::array<uint8_t, NAME_LENGTH_MAX + 2> begins{};
  for (size_t length = 0; length < begins.size(); length++) {
    size_t name = 0;
    while (name < NAMES_COUNT && NAMES[name].text.size() < length) name++;
    begins[length] = static_cast<uint8_t>(name);
  }
  return begins;
}

constexpr std::array<uint8_t, NAME_LENGTH_MAX + 2> NAME_BEGINS = make_name_begins();

// Slots of responseUsage.
enum UsageOut : int32_t { U_INPUT, U_OUTPUT, U_CACHED, U_REASONING, U_CONTENT_BYTES, U_DELTAS, USAGE_OUT_LENGTH };

constexpr uint32_t PATH_DEPTH = 12;
constexpr uint32_t TYPED_DEPTH = 64;
// A provider that reports more tokens than this is not believed: the figure stays an exact integer in a double.
constexpr double TOKENS_MAX = 1e12;

inline Key key_named(const char* text, size_t length) {
  if (length > NAME_LENGTH_MAX) return OTHER;
  for (size_t i = NAME_BEGINS[length]; i < NAME_BEGINS[length + 1]; i++) {
    if (NAMES[i].text[0] == text[0] && std::memcmp(NAMES[i].text.data(), text, length) == 0) return NAMES[i].key;
  }
  return OTHER;
}

inline bool is_terminal_type(const char* text, size_t length) {
  const std::string_view type(text, length);
  return type == "response.completed" || type == "response.failed" || type == "response.incomplete" || type == "error";
}

constexpr bool is_structural(uint8_t c) {
  switch (c) {
    case ',': case ':': case '"': case '{': case '}': case '[': case ']': case ' ': case '\n': case '\r': case '\t': return true;
    default: return false;
  }
}

// First quote or backslash in [p, end).
inline const uint8_t* find_string_end(const uint8_t* p, const uint8_t* end) {
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

// Bytes of a document's beginning that are remembered.
constexpr size_t ALIKE_MAX = 384;

// Where in a document its follower is.
struct Place {
  enum class State : uint8_t { BETWEEN, STRING, ESCAPE, NUMBER };

  uint64_t objects_ = 0;
  uint32_t depth_ = 0;
  uint32_t captured_ = 0;
  State state_ = State::BETWEEN;
  bool expect_key_ = false;
  bool is_key_ = false;
  bool captures_ = false;
  bool counts_ = false;
  bool empty_ = false;
  bool choices_open_ = false;
  Key path_[PATH_DEPTH] = {};
};

// Follows one JSON document. `reset` begins the next one; figures are kept until they are replaced by later ones.
//
// The events of a stream begin alike, up to what the model wrote: id, object, model, choices. So the beginning of a document is
// remembered, with where it led; the next one that begins with the same bytes goes on from there, because the same bytes lead
// to the same place.
class JsonFollower : private Place {
 public:
  // For another answer: nothing is kept. What was remembered is not looked at, and so not cleared.
  void restart() {
    std::memset(figures, 0, sizeof figures);
    finished = terminal = false;
    alike_length_ = 0;
    reset();
  }

  void reset() {
    depth_ = 0;
    state_ = State::BETWEEN;
    expect_key_ = false;
    path_[0] = OTHER;
    usage_here = usage_wrong = choices_empty = error_here = complete = false;
    fresh_ = true;
  }

  void feed(const uint8_t* p, const uint8_t* end) {
    begin_ = fresh_ ? p : nullptr;
    fresh_ = false;
    if (begin_ != nullptr && begins_alike(p, end)) p = go_on(p);
    while (p < end) {
      switch (state_) {
        case State::BETWEEN: p = between(p, end); break;
        case State::STRING: p = string(p, end); break;
        case State::ESCAPE: p = escape(p); break;
        case State::NUMBER: p = number(p, end); break;
      }
    }
  }

  double figures[USAGE_OUT_LENGTH] = {};
  bool usage_here = false;      // this document has a usage object with counts
  bool usage_wrong = false;     // one of them is no number of tokens: negative, broken or absurd
  bool choices_empty = false;   // this document has "choices": []
  bool error_here = false;      // this document has a top-level "error" that is not null
  bool complete = false;        // a whole value was seen
  bool finished = false;        // ever: a finish_reason that is not null
  bool terminal = false;        // ever: a Responses event that ends the stream

 private:
  bool begins_alike(const uint8_t* p, const uint8_t* end) const {
    return alike_length_ > 0 && static_cast<size_t>(end - p) >= alike_length_ && std::memcmp(p, alike_, alike_length_) == 0;
  }

  const uint8_t* go_on(const uint8_t* p) {
    begin_ = nullptr;
    static_cast<Place&>(*this) = alike_place_;
    return p + alike_length_;
  }

  // What the model wrote begins at `p`, behind its quote. All of the document before it must be at hand, and have said nothing yet.
  void remember(const uint8_t* p) {
    const size_t length = static_cast<size_t>(p - begin_);
    const bool silent = !usage_here && !choices_empty && !error_here && !complete;
    if (silent && length <= ALIKE_MAX) {
      std::memcpy(alike_, begin_, length);
      alike_length_ = length;
      alike_place_ = *this;
    }
    begin_ = nullptr;
  }

  bool in_object() const { return depth_ > 0 && depth_ <= TYPED_DEPTH && ((objects_ >> (depth_ - 1)) & 1); }
  Key at(uint32_t depth) const { return depth <= depth_ && depth < PATH_DEPTH ? path_[depth] : OTHER; }

  const uint8_t* between(const uint8_t* p, const uint8_t* end) {
    const uint8_t c = *p;
    switch (c) {
      case '"':
        begin_string();
        if (counts_ && begin_ != nullptr) remember(p + 1);
        return string(p + 1, end);
      case '{': open(true); break;
      case '[': open(false); break;
      case '}':
      case ']': close(c == ']'); break;
      case ',': expect_key_ = in_object(); break;
      case ':': case ' ': case '\n': case '\r': case '\t': break;
      default:
        begin_scalar(p);
        return number(p, end);
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
    empty_ = true;
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
    if (counts_ && (stop > p || (stop < end && *stop == '\\'))) count(static_cast<double>(stop - p));
    if (stop == end) return end;
    if (*stop == '\\') {
      state_ = State::ESCAPE;
    } else {
      end_string();
    }
    return stop + 1;
  }

  // A delta is counted with its first byte: an empty one is no token.
  void count(double bytes) {
    figures[U_CONTENT_BYTES] += bytes;
    if (empty_) figures[U_DELTAS] += 1;
    empty_ = false;
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

  void begin_scalar(const uint8_t* p) {
    begin_value();
    figure_ = -1;
    if ((*p >= '0' && *p <= '9') || *p == '-') {
      figure_ = figure_at_path();
      number_ = 0;
      whole_ = true;
    }
    state_ = State::NUMBER;
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
  const uint8_t* number(const uint8_t* p, const uint8_t* end) {
    for (; p < end && !is_structural(*p); p++) {
      if (*p < '0' || *p > '9') whole_ = false;
      if (whole_ && figure_ >= 0 && number_ <= TOKENS_MAX) number_ = number_ * 10 + (*p - '0');
    }
    if (p < end) end_number();
    return p;
  }

  void end_number() {
    state_ = State::BETWEEN;
    if (depth_ == 0) complete = true;
    if (figure_ < 0) return;
    // A beginning that says something is followed each time.
    begin_ = nullptr;
    const bool counts = whole_ && number_ <= TOKENS_MAX;
    if (counts) figures[figure_] = number_;
    if (figure_ > U_OUTPUT) return;
    usage_here = true;
    if (!counts) usage_wrong = true;
  }

  double number_ = 0;
  int figure_ = -1;
  bool whole_ = false;
  // Nothing of the document was seen.
  bool fresh_ = true;
  // Where the document begins, during a feed that began with it.
  const uint8_t* begin_ = nullptr;
  size_t alike_length_ = 0;
  Place alike_place_;
  char captured_text_[28];
  uint8_t alike_[ALIKE_MAX];
};

}  // namespace sluice
