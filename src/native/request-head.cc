#include "request-head.h"

#include <array>
#include <cstring>

#include "simdjson.h"
#include "upstream/characters.h"

namespace sluice {
namespace {

using upstream::is_control;
using upstream::is_digit;
using upstream::is_letter;

enum Action : uint8_t {
  FORWARD,
  DROP,
  HOST,
  LENGTH,
  ENCODING,
  CONNECTION,
  AUTHORIZATION,
  OTHER_KEY,
  ID,
  TYPE,
  ACCEPTED,
};

struct Rule {
  std::string_view name;
  Action action;
};

// Everything that is not forwarded as it is: framing, hop by hop, credentials, and addresses of the client's network. By length.
constexpr Rule RULES[] = {
    {"te", DROP},
    {"host", HOST},
    {"cookie", DROP},
    {"expect", DROP},
    {"api-key", OTHER_KEY},
    {"trailer", DROP},
    {"upgrade", DROP},
    {"forwarded", DROP},
    {"x-api-key", OTHER_KEY},
    {"x-real-ip", DROP},
    {"connection", CONNECTION},
    {"keep-alive", DROP},
    {"content-type", TYPE},
    {"x-request-id", ID},
    {"authorization", AUTHORIZATION},
    {"content-length", LENGTH},
    {"http2-settings", DROP},
    {"accept-encoding", ACCEPTED},
    {"x-forwarded-for", DROP},
    {"proxy-connection", DROP},
    {"x-forwarded-host", DROP},
    {"x-forwarded-port", DROP},
    {"transfer-encoding", ENCODING},
    {"x-forwarded-proto", DROP},
    {"proxy-authorization", DROP},
};
constexpr size_t RULES_COUNT = sizeof RULES / sizeof *RULES;
constexpr size_t RULE_LENGTH_MAX = 19;

// Index of the first rule of at least this length.
constexpr std::array<uint8_t, RULE_LENGTH_MAX + 2> make_begins() {
  std::array<uint8_t, RULE_LENGTH_MAX + 2> begins{};
  for (size_t length = 0; length < begins.size(); length++) {
    size_t rule = 0;
    while (rule < RULES_COUNT && RULES[rule].name.size() < length) rule++;
    begins[length] = static_cast<uint8_t>(rule);
  }
  return begins;
}

constexpr std::array<uint8_t, RULE_LENGTH_MAX + 2> BEGINS = make_begins();

Action action_of(std::string_view name) {
  if (name.size() > RULE_LENGTH_MAX) return FORWARD;
  for (size_t i = BEGINS[name.size()]; i < BEGINS[name.size() + 1]; i++) {
    if (RULES[i].name[1] == name[1] && std::memcmp(RULES[i].name.data(), name.data(), name.size()) == 0) return RULES[i].action;
  }
  return FORWARD;
}

// Of headers that are for the gateway and do not go on.
constexpr std::string_view OWN_PREFIX = "x-sluice-";

bool is_own(std::string_view name) {
  return name.size() > OWN_PREFIX.size() && name[2] == OWN_PREFIX[2] && name.substr(0, OWN_PREFIX.size()) == OWN_PREFIX;
}

// Bytes of ": " and CRLF.
constexpr size_t HEADER_OVERHEAD = 4;
constexpr size_t LENGTH_DIGITS_MAX = 15;
constexpr size_t PORT_DIGITS_MAX = 5;
constexpr std::string_view BEARER = "bearer ";
constexpr std::string_view JSON = "application/json";
constexpr std::string_view REPLACEMENT = "\xef\xbf\xbd";

bool is_printable(uint8_t c) { return c > 0x20 && c < 0x7f; }

bool all_printable(std::string_view text) {
  for (const char c : text) {
    if (!is_printable(static_cast<uint8_t>(c))) return false;
  }
  return !text.empty();
}

bool is_token(std::string_view text) {
  for (const char c : text) {
    if (upstream::LOWER_TOKEN[static_cast<uint8_t>(c)] == 0) return false;
  }
  return !text.empty();
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

bool equals_lower(std::string_view text, std::string_view lower_text) {
  if (text.size() != lower_text.size()) return false;
  for (size_t i = 0; i < text.size(); i++) {
    if (lower(text[i]) != lower_text[i]) return false;
  }
  return true;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && upstream::is_blank(static_cast<uint8_t>(text.front()))) text.remove_prefix(1);
  while (!text.empty() && upstream::is_blank(static_cast<uint8_t>(text.back()))) text.remove_suffix(1);
  return text;
}

bool is_ascii(std::string_view text) {
  uint64_t bits = 0;
  size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, text.data() + i, 8);
    bits |= word;
  }
  for (; i < text.size(); i++) bits |= static_cast<uint64_t>(static_cast<uint8_t>(text[i])) << 56;
  return (bits & 0x8080808080808080) == 0;
}

// Without control characters; beyond ASCII it has to be UTF-8, and not what stands for something that was none.
bool is_value(std::string_view text) {
  const uint8_t* begin = reinterpret_cast<const uint8_t*>(text.data());
  const uint8_t* end = begin + text.size();
  if (upstream::find_control(begin, end) != end) return false;
  if (is_ascii(text)) return true;
  return text.find(REPLACEMENT) == std::string_view::npos && simdjson::validate_utf8(text.data(), text.size());
}

bool is_name_mark(char c) { return c != '\0' && std::strchr("._~%!$&'()*+,;=-", c) != nullptr; }

// reg-name or IPv4 (RFC 9110 7.2): its length.
size_t name_length(std::string_view text) {
  size_t length = 0;
  while (length < text.size()) {
    const uint8_t c = static_cast<uint8_t>(text[length]);
    if (!is_letter(c) && !is_digit(c) && !is_name_mark(text[length])) break;
    length++;
  }
  return length;
}

// [IPv6], with its brackets: its length; 0: it is none.
size_t address_length(std::string_view text) {
  size_t length = 1;
  while (length < text.size() && text[length] != ']') {
    const char c = lower(text[length]);
    if (!is_digit(static_cast<uint8_t>(c)) && !(c >= 'a' && c <= 'f') && c != ':' && c != '.') return 0;
    length++;
  }
  return length > 1 && length < text.size() ? length + 1 : 0;
}

// A host with an optional port.
bool is_host(std::string_view text) {
  const size_t length = !text.empty() && text.front() == '[' ? address_length(text) : name_length(text);
  if (length == 0) return false;
  text.remove_prefix(length);
  if (text.empty()) return true;
  if (text.front() != ':' || text.size() > 1 + PORT_DIGITS_MAX) return false;
  for (const char c : text.substr(1)) {
    if (!is_digit(static_cast<uint8_t>(c))) return false;
  }
  return true;
}

}  // namespace

void RequestHead::read(const UwsHeader& line, const UwsHeader* headers) {
  flags_ = hosts_ = framings_ = 0;
  content_length_ = header_bytes_ = 0;
  lines_.clear();
  own_.clear();
  named_.clear();
  for (std::string_view& text : texts_) text = {};
  take_line(line);
  for (const UwsHeader* header = headers; header->name.data() != nullptr; header++) take(header->name, header->value);
  if (hosts_ != 1 || framings_ > 1) flags_ |= UNSOUND;
  if (!named_.empty()) set(NAMED, named_, HAS_NAMED);
  if (!own_.empty()) set(OWN_LINES, own_, HAS_OWN);
}

void RequestHead::take_line(const UwsHeader& line) {
  method_ = line.name;
  target_bytes_ = line.value.size();
  const size_t mark = line.value.find('?');
  texts_[PATH_TEXT] = line.value.substr(0, mark);
  if (!all_printable(texts_[PATH_TEXT])) flags_ |= UNSOUND;
  if (mark == std::string_view::npos || mark + 1 == line.value.size()) return;
  set(QUERY, line.value.substr(mark + 1), HAS_QUERY);
  if (!all_printable(texts_[QUERY])) flags_ |= UNSOUND;
}

void RequestHead::take(std::string_view name, std::string_view value) {
  header_bytes_ += name.size() + value.size() + HEADER_OVERHEAD;
  // Behind an empty name the parser itself sees nothing any more.
  if (name.empty()) flags_ |= UNSOUND;
  switch (action_of(name)) {
    case FORWARD:
      return forward(name, value);
    case DROP:
      return;
    case HOST:
      return take_host(value);
    case LENGTH:
      return take_length(value);
    case ENCODING:
      return take_encoding(value);
    case CONNECTION:
      return take_connection(value);
    case AUTHORIZATION:
      return take_authorization(value);
    case OTHER_KEY:
      if (texts_[KEY_TEXT].empty()) set(KEY_TEXT, value, HAS_KEY);
      return;
    case ID:
      return take_request_id(value);
    case TYPE:
      return take_type(name, value);
    case ACCEPTED:
      return take_accept_encoding(value);
  }
}

void RequestHead::take_host(std::string_view value) {
  hosts_++;
  if (!is_host(value)) flags_ |= UNSOUND;
}

void RequestHead::take_length(std::string_view value) {
  framings_++;
  bool sound = !value.empty() && value.size() <= LENGTH_DIGITS_MAX;
  uint64_t length = 0;
  for (const char c : value.substr(0, LENGTH_DIGITS_MAX)) {
    sound = sound && is_digit(static_cast<uint8_t>(c));
    length = length * 10 + static_cast<uint64_t>(c - '0');
  }
  content_length_ = length;
  if (!sound) flags_ |= UNSOUND;
}

void RequestHead::take_encoding(std::string_view value) {
  framings_++;
  flags_ |= CHUNKED;
  if (!equals_lower(value, "chunked")) flags_ |= UNSOUND;
}

void RequestHead::take_connection(std::string_view value) {
  if (equals_lower(value, "close")) {
    flags_ |= CLOSES;
  } else if (!value.empty() && !equals_lower(value, "keep-alive")) {
    named_ += ',';
    for (const char c : value) named_ += lower(c);
  }
}

void RequestHead::take_authorization(std::string_view value) {
  if (!equals_lower(value.substr(0, BEARER.size()), BEARER)) return;
  flags_ &= ~static_cast<uint32_t>(HAS_KEY);
  texts_[KEY_TEXT] = {};
  const std::string_view key = trimmed(value.substr(BEARER.size()));
  if (!key.empty()) set(KEY_TEXT, key, HAS_KEY);
}

void RequestHead::take_request_id(std::string_view value) {
  if (value.size() <= request_id_bytes_max && all_printable(value)) set(REQUEST_ID, value, HAS_REQUEST_ID);
}

// Of two, the provider might read the body by the other one.
void RequestHead::take_type(std::string_view name, std::string_view value) {
  if (!texts_[CONTENT_TYPE].empty()) flags_ |= INVALID;
  set(CONTENT_TYPE, value, value == JSON ? JSON_TYPE : OTHER_TYPE);
  forward(name, value);
}

void RequestHead::take_accept_encoding(std::string_view value) {
  set(ACCEPT_ENCODING, value, HAS_ENCODING);
  if (!is_ascii(value) || !is_value(value)) flags_ |= INVALID;
}

void RequestHead::forward(std::string_view name, std::string_view value) {
  if (!is_token(name) || !is_value(value)) flags_ |= INVALID;
  std::string& lines = is_own(name) ? own_ : lines_;
  lines.append("\r\n", 2);
  lines.append(name);
  lines.append(": ", 2);
  lines.append(value);
}

void RequestHead::set(Text which, std::string_view text, Flag flag) {
  texts_[which] = text;
  flags_ |= flag;
}

}  // namespace sluice
