// What both sides need of a message head (RFC 9112): where the body ends, and whether the connection goes on. Everything
// else is skipped: a generator that looked at every header would measure itself.
#pragma once
#include <strings.h>

#include <cstdint>
#include <cstring>
#include <string_view>

namespace bench {

enum class Parsed { PARTIAL, WHOLE, BAD };

inline std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

inline bool equals(std::string_view text, std::string_view lower) {
  return text.size() == lower.size() && strncasecmp(text.data(), lower.data(), lower.size()) == 0;
}

inline bool contains(std::string_view text, std::string_view lower) {
  for (size_t at = 0; at + lower.size() <= text.size(); at++) {
    if (equals(text.substr(at, lower.size()), lower)) return true;
  }
  return false;
}

struct MessageHead {
  std::string_view first_line;  // into the bytes that were parsed
  bool has_length = false;
  bool chunked = false;
  bool close = false;
  uint64_t length = 0;

  // `*end` is behind the empty line when it is whole.
  Parsed parse(const char* data, size_t bytes, const char** end) {
    *this = MessageHead();
    const char* p = data;
    const char* const stop = data + bytes;
    for (;;) {
      const char* lf = static_cast<const char*>(std::memchr(p, '\n', static_cast<size_t>(stop - p)));
      if (lf == nullptr) return Parsed::PARTIAL;
      std::string_view text(p, static_cast<size_t>(lf - p));
      if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
      p = lf + 1;
      if (first_line.empty()) {
        if (text.empty()) return Parsed::BAD;
        first_line = text;
      } else if (text.empty()) {
        *end = p;
        return chunked && has_length ? Parsed::BAD : Parsed::WHOLE;
      } else if (!header(text)) {
        return Parsed::BAD;
      }
    }
  }

 private:
  bool header(std::string_view text) {
    const char first = static_cast<char>(text.front() | 0x20);
    if (first != 'c' && first != 't') return true;
    const size_t colon = text.find(':');
    if (colon == std::string_view::npos) return false;
    const std::string_view name = text.substr(0, colon);
    const std::string_view value = trimmed(text.substr(colon + 1));
    if (equals(name, "content-length")) return content_length(value);
    if (equals(name, "connection")) close = close || contains(value, "close");
    if (equals(name, "transfer-encoding")) {
      chunked = equals(value, "chunked");
      return chunked;
    }
    return true;
  }

  // Twice, or not a number: two readers could see two lengths.
  bool content_length(std::string_view value) {
    if (has_length || value.empty() || value.size() > 15) return false;
    for (const char digit : value) {
      if (digit < '0' || digit > '9') return false;
      length = length * 10 + static_cast<uint64_t>(digit - '0');
    }
    has_length = true;
    return true;
  }
};

}  // namespace bench
