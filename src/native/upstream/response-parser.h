// Strict, incremental parser of HTTP/1.1 responses. Gateway worker, main thread; one per upstream connection. Pure: bytes in,
// events out.
//
// What must hold: however the bytes are cut, the same is found in them; what two parsers could read differently (RFC 9112 6.3, 11)
// is an error, not a guess; what is accepted node:http accepts, with the same meaning (test/fuzz/upstream-parser.test.ts).
// Nothing is allocated per event: the text of the head is kept, and grows to the largest head of the connection.
#pragma once
#include <cstddef>
#include <cstdint>

#include "chunk-reader.h"
#include "head-reader.h"
#include "header-rules.h"
#include "text-buffer.h"

namespace sluice::upstream {

class ResponseParser {
 public:
  enum class Event : uint8_t { kMore, kHead, kBody, kEnd, kError };

  // Offsets into text(); start -1: the response has no such header.
  using Range = HeadReader::Value;

  // What text_length can be. A header of four bytes is a line of five; a value is in its line, and may be behind the lines once
  // more, with two bytes before it where the line had nineteen or more.
  static constexpr size_t text_bytes_max(size_t head_bytes_max) { return head_bytes_max * 5 / 2; }

  // Cheap: allocates nothing until the first head. `rules` outlives the parser.
  explicit ResponseParser(const HeaderRules* rules) : rules_(rules) {}

  // A response is expected. Bytes that come without it are an error.
  void begin(bool head_request);

  // The next event in `data`; *used: how much of it that event took. Called again with the rest, also with an empty one, until
  // kMore (then all of it was used), kEnd (then the rest was not looked at: if there is any, the connection is not reusable,
  // whatever `reusable` says) or kError. Moves the pieces of chunked bodies together within `data`, so that one kBody has those of
  // many chunks.
  Event next(uint8_t* data, size_t length, size_t* used);

  // The peer closed. kEnd: of a body that ends so; kError: it is cut; kMore: no response was under way.
  Event closed();

  // After kHead, until begin; the text until kEnd.
  int status = 0;
  bool reusable = false;         // as far as the head says; false for every close-delimited body
  bool chunked = false;
  bool close_delimited = false;  // a cut body looks the same as a whole one
  int64_t content_length = -1;   // -1: none was sent. A response to HEAD or a 304 has a length and no body
  int32_t keep_alive_seconds = -1;  // how long the server keeps the connection when it is idle; -1: it does not say
  // "\r\nname: value" for each header that the client gets: lower-case names, values without the whitespace around them, bytes from
  // 0x80 on as they came, no control character but tab. Behind lines_length: what the ranges name. Moves with the next event.
  const char* text() const { return head_.text().data(); }
  size_t lines_length = 0;
  size_t text_length = 0;
  Range content_type;            // the first one
  Range content_encoding;        // of several lines: all of them, with ", " between
  Range request_id;              // x-request-id, the first one

  // After kBody: within the data of that call.
  const uint8_t* body = nullptr;
  size_t body_length = 0;

  // After kError: for the operator; static.
  const char* reason = nullptr;

  // A byte came since begin, so the server took notice of the request.
  bool answered = false;

 private:
  enum class State : uint8_t { IDLE, HEAD, BODYLESS, LENGTH, CLOSE, CHUNKS, TRAILERS, FAILED };

  Event read_head(uint8_t* data, size_t length, size_t* used);
  Event skip_informational();
  Event finish_head();
  void put_text();
  Event read_length(uint8_t* data, size_t length, size_t* used);
  Event read_chunks(uint8_t* data, size_t length, size_t* used);
  Event read_trailers(uint8_t* data, size_t length, size_t* used);
  Event give_body(uint8_t* data, size_t length);
  Event end();
  Event fail(const char* why);

  const HeaderRules* rules_;
  HeadReader head_;
  ChunkReader chunks_;
  uint64_t left_ = 0;  // of the content length
  State state_ = State::IDLE;
  bool head_request_ = false;
};

}  // namespace sluice::upstream
