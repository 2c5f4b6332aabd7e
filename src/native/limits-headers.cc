#include "limits-headers.h"

#include <cstring>
#include <string_view>

namespace sluice {
namespace {

constexpr int64_t MS_NS = 1'000'000;
constexpr int64_t TENTH_NS = 100 * MS_NS;
constexpr int64_t SECOND_NS = 1'000 * MS_NS;
constexpr int64_t TENTHS_PER_MINUTE = 600;

// Names of the three headers about something, with what is before and behind each name.
struct Names {
  std::string_view limit, remaining, reset;
};

constexpr Names OF_REQUESTS = {"\r\nx-ratelimit-limit-requests: ", "\r\nx-ratelimit-remaining-requests: ",
                               "\r\nx-ratelimit-reset-requests: "};
constexpr Names OF_TOKENS = {"\r\nx-ratelimit-limit-tokens: ", "\r\nx-ratelimit-remaining-tokens: ",
                             "\r\nx-ratelimit-reset-tokens: "};

// "00" to "99".
struct Pairs {
  char of[100][2] = {};
  constexpr Pairs() {
    for (int i = 0; i < 100; i++) of[i][0] = static_cast<char>('0' + i / 10), of[i][1] = static_cast<char>('0' + i % 10);
  }
};
constexpr Pairs PAIRS;

class Text {
 public:
  explicit Text(char* out) : at_(out) {}

  Text& operator<<(std::string_view text) {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
    return *this;
  }

  // 0 or more. From its end on, two digits at a time: no more than one division for both.
  Text& operator<<(int64_t number) {
    char digits[20];
    char* first = digits + sizeof digits;
    uint64_t rest = static_cast<uint64_t>(number);
    for (; rest >= 100; rest /= 100) std::memcpy(first -= 2, PAIRS.of[rest % 100], 2);
    if (rest >= 10) std::memcpy(first -= 2, PAIRS.of[rest], 2);
    else *--first = static_cast<char>('0' + rest);
    return *this << std::string_view(first, static_cast<size_t>(digits + sizeof digits - first));
  }

  char* end() const { return at_; }

 private:
  char* at_;
};

int64_t rounded_up(int64_t ns, int64_t unit_ns) { return (ns + unit_ns - 1) / unit_ns; }

// "20ms", "1.5s", "6m0s", "1h0m30s", as OpenAI writes spans of time; never too short.
void write_span(Text& text, int64_t ns) {
  const int64_t ms = rounded_up(ns, MS_NS);
  if (ms < 1'000) {
    text << ms << "ms";
    return;
  }
  const int64_t tenths = rounded_up(ns, TENTH_NS);
  if (tenths < TENTHS_PER_MINUTE) {
    text << tenths / 10;
    if (tenths % 10 != 0) text << "." << tenths % 10;
    text << "s";
    return;
  }
  const int64_t seconds = rounded_up(ns, SECOND_NS);
  if (seconds >= 3'600) text << seconds / 3'600 << "h";
  text << seconds / 60 % 60 << "m" << seconds % 60 << "s";
}

void write_three(Text& text, const Names& names, const Standing& standing) {
  if (standing.limit < 0) return;
  text << names.limit << standing.limit << names.remaining << standing.remaining << names.reset;
  write_span(text, standing.reset_ns);
}

}  // namespace

int64_t whole_ms(int64_t ns) { return rounded_up(ns, MS_NS); }

size_t write_standing(char* out, const Standing& requests, const Standing& tokens) {
  Text text(out);
  write_three(text, OF_REQUESTS, requests);
  write_three(text, OF_TOKENS, tokens);
  return static_cast<size_t>(text.end() - out);
}

}  // namespace sluice
