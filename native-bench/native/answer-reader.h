// Reads one HTTP/1.1 answer that comes in pieces of any size: status, framing, body bytes. Interim answers (1xx) are
// skipped. An answer is done when its framing says so, or, without any, when the connection ends.
#pragma once
#include <string>

#include "bounds.h"
#include "chunked-reader.h"
#include "http-head.h"

namespace bench {

class AnswerReader {
 public:
  void reset() {
    state_ = State::HEAD;
    held_.clear();
  }

  bool done() const { return state_ == State::DONE; }
  bool bad() const { return state_ == State::BAD; }
  bool head_seen() const { return state_ != State::HEAD; }
  int status() const { return status_; }
  bool keeps_alive() const { return !close_; }

  // Hands body bytes to `sink(data, length)`; returns how many bytes belonged to this answer.
  template <class Sink>
  size_t feed(const char* data, size_t length, Sink&& sink) {
    size_t used = 0;
    while (state_ == State::HEAD && used < length) used += head(data + used, length - used);
    if (used == length || state_ == State::DONE || state_ == State::BAD) return used;
    return used + body(data + used, length - used, sink);
  }

  // The connection ended. True when that is where a close-delimited answer ends.
  bool end() {
    if (state_ != State::UNTIL_CLOSE) return false;
    state_ = State::DONE;
    return true;
  }

 private:
  enum class State { HEAD, LENGTH, CHUNKED, UNTIL_CLOSE, DONE, BAD };

  // A head that is split over reads, rare, is put together in `held_` and parsed again from its start.
  size_t head(const char* data, size_t length) {
    const size_t before = held_.size();
    if (before > 0) held_.append(data, length);
    const char* const start = before > 0 ? held_.data() : data;
    const size_t bytes = before > 0 ? held_.size() : length;
    const char* end = nullptr;
    MessageHead parsed;
    switch (parsed.parse(start, bytes, &end)) {
      case Parsed::WHOLE: break;
      case Parsed::BAD: state_ = State::BAD; return length;
      case Parsed::PARTIAL:
        if (before == 0) held_.assign(data, length);
        if (held_.size() > HEAD_BYTES_MAX) state_ = State::BAD;
        return length;
    }
    begin_body(parsed);
    const size_t used = static_cast<size_t>(end - start) - before;
    held_.clear();
    return used;
  }

  void begin_body(const MessageHead& parsed) {
    if (!read_status(parsed.first_line)) {
      state_ = State::BAD;
      return;
    }
    close_ = parsed.close;
    if (status_ < 200) return;  // interim: the head of the answer itself follows
    if (status_ == 204 || status_ == 304) {
      state_ = State::DONE;
    } else if (parsed.chunked) {
      chunks_ = ChunkedReader();
      state_ = State::CHUNKED;
    } else if (parsed.has_length) {
      left_ = parsed.length;
      state_ = left_ == 0 ? State::DONE : State::LENGTH;
    } else {
      close_ = true;
      state_ = State::UNTIL_CLOSE;
    }
  }

  bool read_status(std::string_view line) {
    if (line.size() < 12 || line.compare(0, 7, "HTTP/1.") != 0 || line[8] != ' ') return false;
    status_ = 0;
    for (size_t at = 9; at < 12; at++) {
      if (line[at] < '0' || line[at] > '9') return false;
      status_ = status_ * 10 + (line[at] - '0');
    }
    return status_ >= 100;
  }

  template <class Sink>
  size_t body(const char* data, size_t length, Sink&& sink) {
    if (state_ == State::CHUNKED) {
      const size_t used = chunks_.feed(data, length, sink);
      if (chunks_.done()) state_ = State::DONE;
      if (chunks_.bad()) state_ = State::BAD;
      return used;
    }
    const size_t used = state_ == State::LENGTH ? std::min<uint64_t>(left_, length) : length;
    sink(data, used);
    left_ -= used;
    if (state_ == State::LENGTH && left_ == 0) state_ = State::DONE;
    return used;
  }

  State state_ = State::HEAD;
  bool close_ = false;
  int status_ = 0;
  uint64_t left_ = 0;
  ChunkedReader chunks_;
  std::string held_;
};

}  // namespace bench
