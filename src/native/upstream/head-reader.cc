#include "head-reader.h"

#include "characters.h"

namespace sluice::upstream {
namespace {

constexpr size_t NAME_LENGTH_MAX = 255;
// lower_token writes up to 16 bytes more.
constexpr size_t NAME_ROOM = NAME_LENGTH_MAX + 17;
constexpr ptrdiff_t LENGTH_DIGITS_MAX = 15;
constexpr ptrdiff_t SECONDS_DIGITS_MAX = 9;
// Each is looked for in each line. Real ones name one or two.
constexpr size_t NAMED_BYTES_MAX = 256;
// What a connection keeps of a buffer until its next head.
constexpr size_t IDLE_BYTES_MAX = 8'192;

constexpr char VERSION[] = "HTTP/1.";
constexpr size_t VERSION_LENGTH = sizeof(VERSION) - 1;
// "HTTP/1.1 200", with a space or the end of the line behind it.
constexpr ptrdiff_t STATUS_LENGTH = 12;

const uint8_t* skip_blanks(const uint8_t* p, const uint8_t* end) {
  while (p < end && is_blank(*p)) p++;
  return p;
}

const uint8_t* trim_blanks(const uint8_t* begin, const uint8_t* end) {
  while (end > begin && is_blank(end[-1])) end--;
  return end;
}

// `word`: lower case.
bool is_word(const uint8_t* p, const uint8_t* end, const char* word) {
  for (; p < end && *word != 0; p++, word++) {
    if (LOWER_TOKEN[*p] != static_cast<uint8_t>(*word)) return false;
  }
  return p == end && *word == 0;
}

// The next member of a list (RFC 9110 5.6.1), without the blanks around it; false: there is none.
bool next_member(const uint8_t** at, const uint8_t* end, const uint8_t** member, const uint8_t** member_end) {
  if (*at >= end) return false;
  const void* comma = std::memchr(*at, ',', static_cast<size_t>(end - *at));
  const uint8_t* const stop = comma == nullptr ? end : static_cast<const uint8_t*>(comma);
  *member = skip_blanks(*at, stop);
  *member_end = trim_blanks(*member, stop);
  *at = stop + 1;
  return true;
}

// Of "timeout=5"; -1: it says something else.
int32_t timeout_in(const uint8_t* p, const uint8_t* end) {
  const uint8_t* const equals = static_cast<const uint8_t*>(std::memchr(p, '=', static_cast<size_t>(end - p)));
  if (equals == nullptr || !is_word(p, trim_blanks(p, equals), "timeout")) return -1;
  p = skip_blanks(equals + 1, end);
  if (p == end || end - p > SECONDS_DIGITS_MAX) return -1;
  int32_t seconds = 0;
  for (; p < end; p++) {
    if (!is_digit(*p)) return -1;
    seconds = seconds * 10 + (*p - '0');
  }
  return seconds;
}

// RFC 9110 6.5.1: nothing that says how long the message is, or what becomes of the connection.
bool may_trail(HeaderKind kind) {
  return kind != HeaderKind::CONTENT_LENGTH && kind != HeaderKind::TRANSFER_ENCODING && kind != HeaderKind::CONNECTION;
}

void move(HeadReader::Value* value, size_t by) {
  if (value->start < 0) return;
  value->start += static_cast<int32_t>(by);
  value->end += static_cast<int32_t>(by);
}

bool begins_as_http(const void* p, size_t length) {
  return std::memcmp(p, VERSION, length < VERSION_LENGTH ? length : VERSION_LENGTH) == 0;
}

}  // namespace

void HeadReader::begin() {
  bytes_ = 0;
  kept_.release();
  begin_again();
}

void HeadReader::begin_again() {
  head_ = Head();
  rest();
  part_ = Part::STATUS;
}

void HeadReader::rest() {
  for (TextBuffer* buffer : {&lines_, &values_, &encodings_, &named_}) buffer->restart(IDLE_BYTES_MAX);
}

HeadReader::Found HeadReader::next(const HeaderRules& rules, const uint8_t** at, const uint8_t* end) {
  rules_ = &rules;
  Found found = Found::MORE;
  while (*at < end && found == Found::MORE) {
    if (kept_.length() != 0) {
      found = complete_kept(at, end);
      continue;
    }
    const uint8_t* const line = *at;
    const Line read = read_line(at, end);
    if (read == Line::PARTIAL) *at = end;
    found = read == Line::PARTIAL ? keep(line, end) : settle(read, static_cast<size_t>(*at - line));
  }
  return found;
}

HeadReader::Found HeadReader::complete_kept(const uint8_t** at, const uint8_t* end) {
  const void* feed = std::memchr(*at, '\n', static_cast<size_t>(end - *at));
  const uint8_t* const rest = *at;
  *at = feed == nullptr ? end : static_cast<const uint8_t*>(feed) + 1;
  if (keep(rest, *at) == Found::WRONG) return Found::WRONG;
  if (feed == nullptr) return Found::MORE;
  const uint8_t* line = reinterpret_cast<const uint8_t*>(kept_.data());
  const size_t length = kept_.length();
  const Line read = read_line(&line, line + length);
  kept_.release();
  return settle(read, length);
}

HeadReader::Found HeadReader::keep(const uint8_t* at, const uint8_t* end) {
  const size_t count = static_cast<size_t>(end - at);
  if (bytes_ + kept_.length() + count > rules_->head_bytes_max()) return settle(Line::READ, kept_.length() + count);
  kept_.append(at, count);
  if (part_ != Part::STATUS || begins_as_http(kept_.data(), kept_.length())) return Found::MORE;
  return settle(wrong("this is not HTTP/1.1"), 0);
}

HeadReader::Found HeadReader::settle(Line line, size_t line_bytes) {
  if (line == Line::WRONG) return Found::WRONG;
  bytes_ += static_cast<uint32_t>(line_bytes);
  if (bytes_ > rules_->head_bytes_max()) return settle(wrong("the head, or the trailers, are too large"), 0);
  if (line != Line::EMPTY) return Found::MORE;
  if (named_.length() != 0) remove_named();
  return Found::WHOLE;
}

HeadReader::Line HeadReader::read_line(const uint8_t** at, const uint8_t* end) {
  if (part_ == Part::STATUS) return read_status(at, end);
  return **at == '\r' ? read_empty(at, end) : read_header(at, end);
}

HeadReader::Line HeadReader::read_status(const uint8_t** at, const uint8_t* end) {
  const uint8_t* const p = *at;
  const size_t length = static_cast<size_t>(end - p);
  if (!begins_as_http(p, length)) return wrong("this is not HTTP/1.1");
  const void* feed = std::memchr(p, '\n', length);
  if (feed == nullptr) return Line::PARTIAL;
  const uint8_t* const line_end = static_cast<const uint8_t*>(feed) - 1;
  const bool shaped = line_end - p >= STATUS_LENGTH && (p[7] == '0' || p[7] == '1') && p[8] == ' ';
  if (!shaped || (p[STATUS_LENGTH] != ' ' && line_end - p != STATUS_LENGTH)) return wrong("the status line is malformed");
  if (p[9] < '1' || p[9] > '5' || !is_digit(p[10]) || !is_digit(p[11])) return wrong("the status is not one of 100 to 599");
  if (*line_end != '\r' || find_control(p, line_end) != line_end) return wrong("a control character in the status line, or no CR");
  head_.http10 = p[7] == '0';
  head_.status = (p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0');
  *at = line_end + 2;
  part_ = Part::HEADERS;
  return Line::READ;
}

// At CR.
HeadReader::Line HeadReader::read_empty(const uint8_t** at, const uint8_t* end) {
  if (end - *at < 2) return Line::PARTIAL;
  if ((*at)[1] != '\n') return wrong("a CR without LF");
  *at += 2;
  return Line::EMPTY;
}

HeadReader::Line HeadReader::read_header(const uint8_t** at, const uint8_t* end) {
  Field field;
  Line line = find_name(*at, end, &field);
  if (line == Line::READ) line = find_value(*at + field.name_length + 1, end, &field);
  if (line != Line::READ) return line;
  *at = field.line_end + 2;
  const HeaderRules::Rule* rule = rules_->find(field.name, field.name_length);
  if (rule != nullptr && read_known(rule->kind, field) == Line::WRONG) return Line::WRONG;
  if (part_ == Part::HEADERS && (rule == nullptr || !rule->dropped)) add_line(field);
  return Line::READ;
}

// A name, and a colon right behind it.
HeadReader::Line HeadReader::find_name(const uint8_t* at, const uint8_t* end, Field* field) {
  char* const name = lines_.reserve(2 + NAME_ROOM) + 2;
  field->name = name;
  field->name_length = lower_token(at, end, name, NAME_LENGTH_MAX);
  if (field->name_length > NAME_LENGTH_MAX) return wrong("the name of a header is too long");
  at += field->name_length;
  if (at == end) return Line::PARTIAL;
  if (*at != ':' || field->name_length == 0) return wrong("the name of a header is no token with a colon behind it");
  return Line::READ;
}

HeadReader::Line HeadReader::find_value(const uint8_t* at, const uint8_t* end, Field* field) {
  field->value = skip_blanks(at, end);
  field->line_end = find_control(field->value, end);
  if (field->line_end == end) return Line::PARTIAL;
  if (*field->line_end != '\r') return wrong("a control character in the value of a header, or no CR at its end");
  if (field->line_end + 1 == end) return Line::PARTIAL;
  if (field->line_end[1] != '\n') return wrong("a CR without LF");
  field->value_end = trim_blanks(field->value, field->line_end);
  return Line::READ;
}

HeadReader::Line HeadReader::read_known(HeaderKind kind, const Field& field) {
  if (part_ == Part::TRAILERS) return may_trail(kind) ? Line::READ : wrong("framing in the trailers");
  switch (kind) {
    case HeaderKind::CONTENT_LENGTH:
      return read_length(field);
    case HeaderKind::TRANSFER_ENCODING:
      return read_coding(field);
    case HeaderKind::CONNECTION:
      return read_connection(field);
    case HeaderKind::CONTENT_TYPE:
      keep_value(field, &head_.content_type);
      break;
    case HeaderKind::CONTENT_ENCODING:
      join_encoding(field);
      break;
    case HeaderKind::REQUEST_ID:
      keep_value(field, &head_.request_id);
      break;
    case HeaderKind::KEEP_ALIVE:
      read_keep_alive(field);
      break;
    case HeaderKind::OTHER:
      break;
  }
  return Line::READ;
}

HeadReader::Line HeadReader::read_length(const Field& field) {
  if (head_.content_length >= 0) return wrong("more than one Content-Length");
  const ptrdiff_t digits = field.value_end - field.value;
  if (digits < 1 || digits > LENGTH_DIGITS_MAX) return wrong("Content-Length has not 1 to 15 digits");
  int64_t length = 0;
  for (const uint8_t* p = field.value; p < field.value_end; p++) {
    if (!is_digit(*p)) return wrong("Content-Length is no number");
    length = length * 10 + (*p - '0');
  }
  head_.content_length = length;
  return Line::READ;
}

// A tab behind it: llhttp does not see that this is "chunked".
HeadReader::Line HeadReader::read_coding(const Field& field) {
  const bool tab = std::memchr(field.value_end, '\t', static_cast<size_t>(field.line_end - field.value_end)) != nullptr;
  const bool chunked = is_word(field.value, field.value_end, "chunked") && !tab;
  if (head_.chunked || !chunked) return wrong("Transfer-Encoding is not chunked, once");
  head_.chunked = true;
  return Line::READ;
}

// RFC 9110 7.6.1: options of this connection, and names of headers that are for it only.
HeadReader::Line HeadReader::read_connection(const Field& field) {
  const uint8_t *at = field.value, *option = nullptr, *end = nullptr;
  while (next_member(&at, field.value_end, &option, &end)) {
    if (read_option(option, end) == Line::WRONG) return Line::WRONG;
  }
  return Line::READ;
}

// "timeout=5, max=100": how long the server keeps the connection while it is idle. Of several the shortest counts.
void HeadReader::read_keep_alive(const Field& field) {
  const uint8_t *at = field.value, *member = nullptr, *end = nullptr;
  int32_t& known = head_.keep_alive_seconds;
  while (next_member(&at, field.value_end, &member, &end)) {
    const int32_t seconds = timeout_in(member, end);
    if (seconds >= 0 && (known < 0 || seconds < known)) known = seconds;
  }
}

HeadReader::Line HeadReader::read_option(const uint8_t* option, const uint8_t* end) {
  if (is_word(option, end, "close")) {
    head_.close = true;
    return Line::READ;
  }
  if (is_word(option, end, "keep-alive")) {
    head_.keep_alive = true;
    return Line::READ;
  }
  char* const name = named_.reserve(NAME_ROOM + 1);
  const size_t length = lower_token(option, end, name, NAME_LENGTH_MAX);
  if (length == 0 || option + length != end) return Line::READ;
  name[length] = ',';
  named_.advance(length + 1);
  return named_.length() > NAMED_BYTES_MAX ? wrong("Connection names too many headers") : Line::READ;
}

// Of several lines the first counts.
void HeadReader::keep_value(const Field& field, Value* value) {
  if (value->start >= 0) return;
  value->start = static_cast<int32_t>(values_.length());
  values_.append(field.value, static_cast<size_t>(field.value_end - field.value));
  value->end = static_cast<int32_t>(values_.length());
}

// Several lines are one list (RFC 9110 5.3).
void HeadReader::join_encoding(const Field& field) {
  if (head_.content_encoding.start >= 0) encodings_.append(", ", 2);
  encodings_.append(field.value, static_cast<size_t>(field.value_end - field.value));
  head_.content_encoding = {0, static_cast<int32_t>(encodings_.length())};
}

size_t HeadReader::finish_text() {
  const size_t lines_length = lines_.length();
  move(&head_.content_type, lines_.length());
  move(&head_.request_id, lines_.length());
  lines_.append(values_.data(), values_.length());
  move(&head_.content_encoding, lines_.length());
  lines_.append(encodings_.data(), encodings_.length());
  return lines_length;
}

// The name is where it belongs already.
void HeadReader::add_line(const Field& field) {
  const size_t length = static_cast<size_t>(field.value_end - field.value);
  char* const line = lines_.reserve(4 + field.name_length + length);
  std::memcpy(line, "\r\n", 2);
  std::memcpy(line + 2 + field.name_length, ": ", 2);
  std::memcpy(line + 4 + field.name_length, field.value, length);
  lines_.advance(4 + field.name_length + length);
}

void HeadReader::remove_named() {
  const char* const end = lines_.data() + lines_.length();
  char* out = lines_.data();
  for (const char* line = out; line < end;) {
    const char* const name = line + 2;
    const void* next = std::memchr(name, '\r', static_cast<size_t>(end - name));
    const char* const line_end = next == nullptr ? end : static_cast<const char*>(next);
    const char* const colon = static_cast<const char*>(std::memchr(name, ':', static_cast<size_t>(line_end - name)));
    const size_t length = static_cast<size_t>(line_end - line);
    if (!is_named(name, static_cast<size_t>(colon - name))) {
      std::memmove(out, line, length);
      out += length;
    }
    line = line_end;
  }
  lines_.cut(static_cast<size_t>(out - lines_.data()));
}

bool HeadReader::is_named(const char* name, size_t length) const {
  const char* const end = named_.data() + named_.length();
  for (const char* at = named_.data(); at < end;) {
    const char* const comma = static_cast<const char*>(std::memchr(at, ',', static_cast<size_t>(end - at)));
    if (static_cast<size_t>(comma - at) == length && std::memcmp(at, name, length) == 0) return true;
    at = comma + 1;
  }
  return false;
}

HeadReader::Line HeadReader::wrong(const char* why) {
  reason = why;
  return Line::WRONG;
}

}  // namespace sluice::upstream
