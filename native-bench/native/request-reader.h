// Reads one HTTP/1.1 request that comes in pieces of any size, keeps nothing of its body, and finds out only what the mock
// provider must know: what is asked, and whether the body wants a stream.
#pragma once
#include <emmintrin.h>

#include <string>

#include "bounds.h"
#include "chunked-reader.h"
#include "http-head.h"

namespace bench {

// Looks for `"stream": true` in bytes that pass. In a JSON string the quotes would be escaped, so it cannot be in one; that a
// deeper object has it is not told apart.
class StreamFinder {
 public:
  bool found = false;

  void feed(const char* data, size_t length) {
    const char* p = data;
    const char* const end = data + length;
    while (p < end && !found) {
      if (matched_ == 0) p = find_quote_s(p, end);
      if (p < end) step(*p++);
    }
  }

 private:
  // Behind the name: blanks, a colon, blanks, then the value. A dot stands for "any blanks here".
  static constexpr std::string_view PATTERN = "\"stream\".:.true";

  // The next quote with an s behind it, or a quote at the very end: most of a body is skipped 16 bytes at a time.
  static const char* find_quote_s(const char* p, const char* end) {
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i letter = _mm_set1_epi8('s');
    for (; end - p >= 17; p += 16) {
      const __m128i here = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
      const __m128i behind = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 1));
      const int mask = _mm_movemask_epi8(_mm_and_si128(_mm_cmpeq_epi8(here, quote), _mm_cmpeq_epi8(behind, letter)));
      if (mask != 0) return p + __builtin_ctz(static_cast<unsigned>(mask));
    }
    while (p < end && *p != '"') p++;
    return p;
  }

  static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

  void step(char c) {
    if (PATTERN[matched_] == '.') {
      if (is_blank(c)) return;
      matched_++;
    }
    if (PATTERN[matched_] == c) {
      matched_++;
      found = matched_ == PATTERN.size();
    } else {
      matched_ = c == '"' ? 1 : 0;
    }
  }

  size_t matched_ = 0;
};

enum class Asked : uint8_t { COMPLETION, EMBEDDINGS, MODELS, UNKNOWN };

class RequestReader {
 public:
  void reset() { *this = RequestReader(); }

  bool begun() const { return state_ != State::HEAD || !held_.empty(); }
  bool done() const { return state_ == State::DONE; }
  bool bad() const { return state_ == State::BAD; }
  bool keeps_alive() const { return !close_; }
  bool wants_stream() const { return stream_.found; }
  Asked asked() const { return asked_; }

  // Returns how many bytes belonged to this request.
  size_t feed(const char* data, size_t length) {
    size_t used = 0;
    if (state_ == State::HEAD) used = head(data, length);
    if (used == length || done() || bad()) return used;
    return used + body(data + used, length - used);
  }

 private:
  enum class State { HEAD, LENGTH, CHUNKED, DONE, BAD };

  size_t head(const char* data, size_t length) {
    const size_t before = held_.size();
    if (before > 0) held_.append(data, length);
    const std::string_view bytes = before > 0 ? std::string_view(held_) : std::string_view(data, length);
    const char* end = nullptr;
    MessageHead parsed;
    const Parsed result = parsed.parse(bytes.data(), bytes.size(), &end);
    if (result == Parsed::PARTIAL) {
      if (before == 0) held_.assign(data, length);
      if (held_.size() > HEAD_BYTES_MAX) state_ = State::BAD;
      return length;
    }
    state_ = State::BAD;
    if (result == Parsed::WHOLE) begin_body(parsed);
    const size_t used = result == Parsed::WHOLE ? static_cast<size_t>(end - bytes.data()) - before : length;
    held_.clear();
    return used;
  }

  void begin_body(const MessageHead& head) {
    asked_ = asked_of(head.first_line);
    close_ = head.close || head.first_line.substr(head.first_line.size() - 1) == "0";
    left_ = head.length;
    if (left_ > BODY_BYTES_MAX) return;
    state_ = head.chunked ? State::CHUNKED : left_ > 0 ? State::LENGTH : State::DONE;
  }

  static bool ends_with(std::string_view text, std::string_view end) {
    return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
  }

  static Asked asked_of(std::string_view line) {
    const size_t method = line.find(' ');
    if (method == std::string_view::npos) return Asked::UNKNOWN;
    std::string_view path = line.substr(method + 1);
    path = path.substr(0, path.find_first_of(" ?"));
    const bool is_get = line.substr(0, method) == "GET";
    if (line.substr(0, method) == "POST") return ends_with(path, "/embeddings") ? Asked::EMBEDDINGS : Asked::COMPLETION;
    return is_get && ends_with(path, "/models") ? Asked::MODELS : Asked::UNKNOWN;
  }

  size_t body(const char* data, size_t length) {
    if (state_ == State::CHUNKED) return chunked_body(data, length);
    const size_t used = std::min<uint64_t>(left_, length);
    stream_.feed(data, used);
    left_ -= used;
    if (left_ == 0) state_ = State::DONE;
    return used;
  }

  size_t chunked_body(const char* data, size_t length) {
    const size_t used = chunks_.feed(data, length, [this](const char* part, size_t count) {
      stream_.feed(part, count);
      left_ += count;
    });
    if (chunks_.done()) state_ = State::DONE;
    if (chunks_.bad() || left_ > BODY_BYTES_MAX) state_ = State::BAD;
    return used;
  }

  State state_ = State::HEAD;
  bool close_ = false;
  Asked asked_ = Asked::UNKNOWN;
  uint64_t left_ = 0;  // of a body with a length; read so far of a chunked one
  StreamFinder stream_;
  ChunkedReader chunks_;
  std::string held_;
};

}  // namespace bench
