// Heads and trailers of responses (RFC 9112 4, 5, 7.1.2), line by line. Part of the response parser.
// A line is read where it is; only the beginning of one that is not whole yet is kept.
#pragma once
#include <cstddef>
#include <cstdint>

#include "header-rules.h"
#include "text-buffer.h"

namespace sluice::upstream {

class HeadReader {
 public:
  enum class Found : uint8_t { MORE, WHOLE, WRONG };

  // Offsets into text(); start -1: it was not sent.
  struct Value {
    int32_t start = -1;
    int32_t end = -1;
  };

  // What one head says.
  struct Head {
    int status = 0;
    bool http10 = false;
    bool chunked = false;
    bool close = false;
    bool keep_alive = false;
    int64_t content_length = -1;
    int32_t keep_alive_seconds = -1;
    Value content_type;
    Value content_encoding;
    Value request_id;
  };

  // The response is over: gives back the memory of a large head, which an idle connection has no use for.
  void rest();

  // The next line is the first of a response; the bytes of its heads and trailers are counted from here.
  void begin();

  // After a head of 1xx: another one follows.
  void begin_again();

  void begin_trailers() { part_ = Part::TRAILERS; }

  // Reads from *at on, and moves *at behind what it read. WHOLE: that was the empty line; WRONG: `reason`.
  Found next(const HeaderRules& rules, const uint8_t** at, const uint8_t* end);

  // After WHOLE of a head, once: puts the values behind the lines. How long the lines are.
  size_t finish_text();

  const Head& head() const { return head_; }
  // See ResponseParser::text.
  const TextBuffer& text() const { return lines_; }

  const char* reason = nullptr;

 private:
  enum class Part : uint8_t { STATUS, HEADERS, TRAILERS };
  enum class Line : uint8_t { PARTIAL, READ, EMPTY, WRONG };

  // A header line: its name in lower case, behind the end of lines_, and its value without the blanks around it.
  struct Field {
    const char* name = nullptr;
    size_t name_length = 0;
    const uint8_t* value = nullptr;
    const uint8_t* value_end = nullptr;
    const uint8_t* line_end = nullptr;  // at CR LF
  };

  Found complete_kept(const uint8_t** at, const uint8_t* end);
  Found keep(const uint8_t* at, const uint8_t* end);
  Found settle(Line line, size_t line_bytes);

  Line read_line(const uint8_t** at, const uint8_t* end);
  Line read_status(const uint8_t** at, const uint8_t* end);
  Line read_empty(const uint8_t** at, const uint8_t* end);
  Line read_header(const uint8_t** at, const uint8_t* end);
  Line find_name(const uint8_t* at, const uint8_t* end, Field* field);
  Line find_value(const uint8_t* at, const uint8_t* end, Field* field);

  Line read_known(HeaderKind kind, const Field& field);
  Line read_length(const Field& field);
  Line read_coding(const Field& field);
  Line read_connection(const Field& field);
  Line read_option(const uint8_t* option, const uint8_t* end);
  void read_keep_alive(const Field& field);
  void keep_value(const Field& field, Value* value);
  void join_encoding(const Field& field);

  void add_line(const Field& field);
  void remove_named();
  bool is_named(const char* name, size_t length) const;

  Line wrong(const char* why);

  const HeaderRules* rules_ = nullptr;
  Head head_;
  TextBuffer lines_;
  TextBuffer values_;
  TextBuffer encodings_;
  TextBuffer kept_;     // the beginning of a line
  TextBuffer named_;    // what Connection headers name, each with a comma behind it
  uint32_t bytes_ = 0;  // of this response's heads and trailers
  Part part_ = Part::STATUS;
};

}  // namespace sluice::upstream
