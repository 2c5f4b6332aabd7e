// Decodes a chunked body (RFC 9112 7.1) that comes in pieces of any size. Exact: a size without digits, data without its
// CRLF or a size beyond 2^32 is bad. Extensions and trailers are skipped.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace bench {

class ChunkedReader {
 public:
  bool done() const { return state_ == State::DONE; }
  bool bad() const { return state_ == State::BAD; }

  // Hands content to `sink(data, length)`; returns how many bytes belonged to the body.
  template <class Sink>
  size_t feed(const char* data, size_t length, Sink&& sink) {
    const char* p = data;
    const char* const end = data + length;
    while (p < end && !done() && !bad()) {
      if (state_ == State::DATA) {
        const size_t take = std::min<size_t>(left_, static_cast<size_t>(end - p));
        sink(p, take);
        p += take;
        left_ -= static_cast<uint32_t>(take);
        if (left_ == 0) state_ = State::DATA_CR;
      } else {
        step(*p++);
      }
    }
    return static_cast<size_t>(p - data);
  }

 private:
  enum class State {
    SIZE_START, SIZE, EXTENSION, SIZE_LF,
    DATA, DATA_CR, DATA_LF,
    TRAILER_START, TRAILER, TRAILER_LF, LAST_LF,
    DONE, BAD
  };

  static int digit_of(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    const char lower = static_cast<char>(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
  }

  void step(char c) {
    switch (state_) {
      case State::SIZE_START:
      case State::SIZE: return size(c);
      case State::EXTENSION: return go(c == '\r', State::SIZE_LF, State::EXTENSION);
      case State::SIZE_LF: return go(c == '\n', left_ == 0 ? State::TRAILER_START : State::DATA);
      case State::DATA_CR: return go(c == '\r', State::DATA_LF);
      case State::DATA_LF: return go(c == '\n', State::SIZE_START);
      case State::TRAILER_START: return go(c == '\r', State::LAST_LF, State::TRAILER);
      case State::TRAILER: return go(c == '\r', State::TRAILER_LF, State::TRAILER);
      case State::TRAILER_LF: return go(c == '\n', State::TRAILER_START);
      case State::LAST_LF: return go(c == '\n', State::DONE);
      default: state_ = State::BAD;
    }
  }

  void go(bool matches, State next, State otherwise = State::BAD) { state_ = matches ? next : otherwise; }

  void size(char c) {
    const int digit = digit_of(c);
    if (digit >= 0) {
      if (state_ == State::SIZE_START) left_ = 0;
      state_ = left_ >> 28 == 0 ? State::SIZE : State::BAD;
      left_ = left_ << 4 | static_cast<uint32_t>(digit);
    } else if (state_ == State::SIZE_START) {
      state_ = State::BAD;
    } else {
      state_ = c == '\r' ? State::SIZE_LF : c == ';' || c == ' ' || c == '\t' ? State::EXTENSION : State::BAD;
    }
  }

  State state_ = State::SIZE_START;
  uint32_t left_ = 0;
};

}  // namespace bench
