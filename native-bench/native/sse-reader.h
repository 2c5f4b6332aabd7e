// Counts the events of a stream that comes in pieces of any size (WHATWG HTML 9.2.6, lines end with LF or CRLF), and watches
// for the terminal event of OpenAI streams, "data: [DONE]", and for bytes behind it.
#pragma once
#include <algorithm>
#include <cstring>
#include <string_view>

namespace bench {

class SseReader {
 public:
  // Events so far, the terminal one included. A block without a data line (comments) is none.
  uint64_t events = 0;
  bool terminal = false;
  // Bytes after the terminal event.
  bool trailing = false;

  // True when the stream ended where it should.
  bool whole() const { return terminal && !trailing; }

  void feed(const char* data, size_t length) {
    const char* p = data;
    const char* const end = data + length;
    while (p < end) {
      if (terminal) {
        trailing = true;
        return;
      }
      const char* lf = static_cast<const char*>(std::memchr(p, '\n', static_cast<size_t>(end - p)));
      const char* const stop = lf == nullptr ? end : lf;
      keep(p, static_cast<size_t>(stop - p));
      if (lf == nullptr) return;
      end_line();
      p = lf + 1;
    }
  }

 private:
  // The beginning of a line is all that is looked at; "data: [DONE]\r" has 13 bytes.
  static constexpr size_t KEPT = 14;

  void keep(const char* data, size_t length) {
    if (line_length_ < KEPT) {
      const size_t take = std::min(length, KEPT - line_length_);
      std::memcpy(line_ + line_length_, data, take);
    }
    line_length_ += length;
  }

  void end_line() {
    std::string_view text(line_, std::min(line_length_, KEPT));
    if (line_length_ <= KEPT && !text.empty() && text.back() == '\r') text.remove_suffix(1);
    line_length_ = 0;
    if (text.empty()) return end_event();
    if (text.compare(0, 5, "data:") != 0) return;
    done_ = !data_ && (text == "data: [DONE]" || text == "data:[DONE]");
    data_ = true;
  }

  void end_event() {
    if (!data_) return;
    events++;
    terminal = done_;
    data_ = done_ = false;
  }

  bool data_ = false;
  bool done_ = false;
  size_t line_length_ = 0;
  char line_[KEPT];
};

}  // namespace bench
