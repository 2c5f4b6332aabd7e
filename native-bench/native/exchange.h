// One request's answer as it is read: checks everything that the spec expects of it. No I/O; what a test of its rules would
// call "the oracle".
#pragma once
#include "answer-reader.h"
#include "crc32.h"
#include "spec.h"
#include "sse-reader.h"

namespace bench {

// Reasons under which a wrong answer is counted, one per request: the first that holds, in this order of precedence for
// answers that came whole. `LENGTH` has all that is wrong about an answer's extent: framing that breaks the protocol, a body
// of another size, another number of events. `TERMINAL` is a stream without its [DONE], or with bytes behind it.
enum class Verdict : uint8_t { RIGHT, STATUS, LENGTH, CHECKSUM, TERMINAL, RESET, TIMEOUT, CONNECT, COUNT };

// Names in the summary, from STATUS on.
constexpr const char* VERDICT_NAMES[] = {"right", "status", "length", "checksum", "terminal", "reset", "timeout", "connect"};

class Exchange {
 public:
  void begin(const Expectation* expect) {
    expect_ = expect;
    answer_.reset();
    crc_ = Crc32();
    events_ = SseReader();
    bytes_ = 0;
    surplus_ = false;
  }

  void feed(const char* data, size_t length) {
    const size_t used = answer_.feed(data, length, [this](const char* body, size_t count) { take(body, count); });
    surplus_ = used < length;
  }

  // True when the end of the connection is the end of the answer.
  bool end() { return answer_.end(); }
  bool over() const { return answer_.done() || answer_.bad(); }
  bool keeps_alive() const { return answer_.done() && answer_.keeps_alive() && !surplus_; }
  bool is_stream() const { return expect_->stream && expected_status(); }
  uint64_t events() const { return events_.events; }
  uint64_t body_bytes() const { return bytes_; }
  // The first event of a stream, the first body byte of another answer.
  bool first_seen() const { return expected_status() && (expect_->stream ? events_.events > 0 : bytes_ > 0); }
  // Events that may carry a token: all but the terminal one.
  uint64_t content_events() const { return events_.events - (events_.terminal ? 1 : 0); }

  Verdict verdict() const {
    if (answer_.bad()) return Verdict::LENGTH;
    if (!expected_status()) return Verdict::STATUS;
    if (surplus_ || (expect_->has_bytes && bytes_ != expect_->bytes)) return Verdict::LENGTH;
    if (expect_->has_events && events_.events != expect_->events) return wrong_events();
    if (expect_->has_crc32 && crc_.value() != expect_->crc32) return Verdict::CHECKSUM;
    return expect_->stream && !events_.whole() ? Verdict::TERMINAL : Verdict::RIGHT;
  }

 private:
  bool expected_status() const { return answer_.head_seen() && answer_.status() == expect_->status; }

  // A stream that lacks nothing but its terminal event is named after that.
  Verdict wrong_events() const {
    return !events_.whole() && events_.events + 1 == expect_->events ? Verdict::TERMINAL : Verdict::LENGTH;
  }

  void take(const char* body, size_t count) {
    bytes_ += count;
    if (!expected_status()) return;
    if (expect_->has_crc32) crc_.feed(body, count);
    if (expect_->stream || expect_->has_events) events_.feed(body, count);
  }

  const Expectation* expect_ = nullptr;
  AnswerReader answer_;
  Crc32 crc_;
  SseReader events_;
  uint64_t bytes_ = 0;
  bool surplus_ = false;
};

}  // namespace bench
