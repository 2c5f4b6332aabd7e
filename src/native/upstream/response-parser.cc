#include "response-parser.h"

#include <algorithm>
#include <cstring>

namespace sluice::upstream {
namespace {

constexpr int SWITCHING_PROTOCOLS = 101;
constexpr int OK = 200;
constexpr int NO_CONTENT = 204;
constexpr int NOT_MODIFIED = 304;

}  // namespace

void ResponseParser::begin(bool head_request) {
  head_.begin();
  head_request_ = head_request;
  answered = false;
  state_ = State::HEAD;
}

ResponseParser::Event ResponseParser::next(uint8_t* data, size_t length, size_t* used) {
  *used = 0;
  if (length != 0) answered = true;
  switch (state_) {
    case State::IDLE:
      return length == 0 ? Event::kMore : fail("bytes that no request asked for");
    case State::HEAD:
      return read_head(data, length, used);
    case State::BODYLESS:
      return end();
    case State::LENGTH:
      return read_length(data, length, used);
    case State::CLOSE:
      *used = length;
      return give_body(data, length);
    case State::CHUNKS:
      return read_chunks(data, length, used);
    case State::TRAILERS:
      return read_trailers(data, length, used);
    case State::FAILED:
      break;
  }
  return Event::kError;
}

ResponseParser::Event ResponseParser::closed() {
  switch (state_) {
    case State::IDLE:
      return Event::kMore;
    case State::BODYLESS:
    case State::CLOSE:
      return end();
    case State::LENGTH:
      return left_ == 0 ? end() : fail("closed before the end of the body");
    case State::FAILED:
      return Event::kError;
    case State::HEAD:
      return fail(answered ? "closed within the head" : "closed without an answer");
    default:
      return fail("closed before the end of the body");
  }
}

ResponseParser::Event ResponseParser::read_head(uint8_t* data, size_t length, size_t* used) {
  const uint8_t* at = data;
  Event event = Event::kMore;
  while (event == Event::kMore && state_ == State::HEAD) {
    const HeadReader::Found found = head_.next(*rules_, &at, data + length);
    if (found == HeadReader::Found::MORE) break;
    if (found == HeadReader::Found::WRONG) event = fail(head_.reason);
    else event = head_.head().status < OK ? skip_informational() : finish_head();
  }
  *used = static_cast<size_t>(at - data);
  return event;
}

// 1xx: the head of the answer is to come. With framing, or where the connection would end, two parsers could go on differently.
ResponseParser::Event ResponseParser::skip_informational() {
  const HeadReader::Head& head = head_.head();
  if (head.status == SWITCHING_PROTOCOLS) return fail("the server switched protocols, unasked");
  const bool framed = head.chunked || head.content_length >= 0;
  if (framed || head.close || head.http10) return fail("a 1xx with framing, or with the end of the connection");
  head_.begin_again();
  return Event::kMore;
}

ResponseParser::Event ResponseParser::finish_head() {
  const HeadReader::Head& head = head_.head();
  if (head.chunked && head.content_length >= 0) return fail("Transfer-Encoding and Content-Length");
  if (head.chunked && head.http10) return fail("Transfer-Encoding in HTTP/1.0");
  const bool bodyless = head_request_ || head.status == NO_CONTENT || head.status == NOT_MODIFIED;
  // A server that says "chunked" with a 204 or 304 may send a last chunk, too. A length is that of the body there would be (RFC 9110 8.6).
  const bool doubtful = bodyless && !head_request_ && head.chunked;
  status = head.status;
  chunked = head.chunked;
  content_length = head.content_length;
  keep_alive_seconds = head.keep_alive_seconds;
  close_delimited = !bodyless && !chunked && content_length < 0;
  reusable = !head.close && (!head.http10 || head.keep_alive) && !close_delimited && !doubtful;
  put_text();
  left_ = static_cast<uint64_t>(std::max<int64_t>(content_length, 0));
  if (bodyless) state_ = State::BODYLESS;
  else if (close_delimited) state_ = State::CLOSE;
  else state_ = chunked ? State::CHUNKS : State::LENGTH;
  chunks_.begin();
  return Event::kHead;
}

void ResponseParser::put_text() {
  lines_length = head_.finish_text();
  text_length = head_.text().length();
  content_type = head_.head().content_type;
  content_encoding = head_.head().content_encoding;
  request_id = head_.head().request_id;
}

ResponseParser::Event ResponseParser::read_length(uint8_t* data, size_t length, size_t* used) {
  if (left_ == 0) return end();
  *used = static_cast<size_t>(std::min<uint64_t>(left_, length));
  left_ -= *used;
  return give_body(data, *used);
}

ResponseParser::Event ResponseParser::read_chunks(uint8_t* data, size_t length, size_t* used) {
  uint8_t* at = data;
  uint8_t* const data_end = data + length;
  uint8_t* start = nullptr;
  size_t gathered = 0;
  ChunkReader::Found found;
  while ((found = chunks_.next(&at, data_end)) == ChunkReader::Found::DATA) {
    const size_t piece = static_cast<size_t>(std::min<uint64_t>(chunks_.left(), static_cast<uint64_t>(data_end - at)));
    if (start == nullptr) start = at;
    else std::memmove(start + gathered, at, piece);
    gathered += piece;
    at += piece;
    chunks_.take(piece);
  }
  *used = static_cast<size_t>(at - data);
  if (found == ChunkReader::Found::LAST) {
    state_ = State::TRAILERS;
    head_.begin_trailers();
  }
  if (found == ChunkReader::Found::WRONG) fail(chunks_.reason);
  if (gathered != 0) return give_body(start, gathered);
  if (state_ == State::TRAILERS) {
    size_t more = 0;
    const Event event = read_trailers(at, static_cast<size_t>(data_end - at), &more);
    *used += more;
    return event;
  }
  return state_ == State::FAILED ? Event::kError : Event::kMore;
}

ResponseParser::Event ResponseParser::read_trailers(uint8_t* data, size_t length, size_t* used) {
  const uint8_t* at = data;
  const HeadReader::Found found = head_.next(*rules_, &at, data + length);
  *used = static_cast<size_t>(at - data);
  if (found == HeadReader::Found::WRONG) return fail(head_.reason);
  return found == HeadReader::Found::WHOLE ? end() : Event::kMore;
}

ResponseParser::Event ResponseParser::give_body(uint8_t* data, size_t length) {
  body = data;
  body_length = length;
  return length == 0 ? Event::kMore : Event::kBody;
}

ResponseParser::Event ResponseParser::end() {
  state_ = State::IDLE;
  head_.rest();
  return Event::kEnd;
}

ResponseParser::Event ResponseParser::fail(const char* why) {
  reason = why;
  state_ = State::FAILED;
  return Event::kError;
}

}  // namespace sluice::upstream
