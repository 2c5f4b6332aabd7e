// Splits the head of a request in its usual form into what RequestHead reads. Only a POST in one piece: whatever is not quite usual is for
// the parser of uWebSockets.js, which is more lenient. So what is read here is read there in the same way. Gateway worker.
#pragma once
#include <cstring>

#include "upstream/characters.h"
#include "uws-memory.h"

namespace sluice {

class PlainHead {
 public:
  // Bytes of the head, which is at the beginning of the data; 0: it is not whole, or unusual. Views are on the data and in here.
  size_t split(const char* data, size_t length) {
    begin_ = at_ = reinterpret_cast<const uint8_t*>(data);
    end_ = begin_ + length;
    count_ = names_bytes_ = 0;
    if (!take_line()) return 0;
    while (at_ < end_ && *at_ != '\r') {
      if (!take_header()) return 0;
    }
    headers_[count_] = {{}, {}};
    return take_break() ? static_cast<size_t>(at_ - begin_) : 0;
  }

  const UwsHeader& line() const { return line_; }
  const UwsHeader* headers() const { return headers_; }

 private:
  static constexpr size_t HEADERS_MAX = 64;
  static constexpr size_t NAMES_BYTES_MAX = 2048;
  static constexpr std::string_view METHOD = "POST";
  static constexpr std::string_view VERSION = " HTTP/1.1";

  static std::string_view view(const uint8_t* from, const uint8_t* to) {
    return {reinterpret_cast<const char*>(from), static_cast<size_t>(to - from)};
  }

  bool take_break() {
    if (end_ - at_ < 2 || at_[0] != '\r' || at_[1] != '\n') return false;
    at_ += 2;
    return true;
  }

  // Up to the end of the line.
  bool take_rest(std::string_view* rest) {
    const uint8_t* from = at_;
    at_ = upstream::find_control(at_, end_);
    *rest = view(from, at_);
    return take_break();
  }

  bool take_line() {
    std::string_view line;
    if (!take_rest(&line) || line.size() <= METHOD.size() + 1 + VERSION.size()) return false;
    const std::string_view version = line.substr(line.size() - VERSION.size());
    if (line.substr(0, METHOD.size()) != METHOD || line[METHOD.size()] != ' ' || version != VERSION) return false;
    line.remove_prefix(METHOD.size() + 1);
    line.remove_suffix(VERSION.size());
    line_ = {METHOD, line};
    return line.front() == '/';
  }

  bool take_header() {
    if (count_ == HEADERS_MAX) return false;
    char* name = names_ + names_bytes_;
    const size_t length_max = NAMES_BYTES_MAX - names_bytes_;
    const size_t length = upstream::lower_token(at_, end_, name, length_max);
    if (length == 0 || length > length_max || at_ + length == end_ || at_[length] != ':') return false;
    names_bytes_ += length;
    at_ += length + 1;
    while (at_ < end_ && upstream::is_blank(*at_)) at_++;
    std::string_view value;
    if (!take_rest(&value)) return false;
    headers_[count_++] = {{name, length}, value};
    return value.empty() || !upstream::is_blank(static_cast<uint8_t>(value.back()));
  }

  const uint8_t* begin_ = nullptr;
  const uint8_t* at_ = nullptr;
  const uint8_t* end_ = nullptr;
  size_t count_ = 0;
  size_t names_bytes_ = 0;
  UwsHeader line_;
  UwsHeader headers_[HEADERS_MAX + 1];
  // In lower case; room as lower_token wants it.
  char names_[NAMES_BYTES_MAX + 16];
};

}  // namespace sluice
