// The head of a request, read in one pass: framing that two parsers could read differently is found, and headers are sorted into what the
// gateway needs and what goes on. Gateway worker. Views are on the memory of the request: valid while its handler runs.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "uws-memory.h"

namespace sluice {

class RequestHead {
 public:
  // What JavaScript reads, as doubles, in this order: http/request-head.ts.
  enum Field { FLAGS, METHOD, PATH, CONTENT_LENGTH, HEADER_BYTES, TARGET_BYTES, KEY, FIELDS };

  enum Flag {
    UNSOUND = 1,        // framing, request line: the connection is not to be trusted
    INVALID = 2,        // a header that HTTP does not allow
    HAS_KEY = 4,
    HAS_REQUEST_ID = 8,
    JSON_TYPE = 16,     // the content type is application/json and nothing else
    OTHER_TYPE = 32,
    HAS_ENCODING = 64,  // accept-encoding
    HAS_QUERY = 128,
    CHUNKED = 256,
    CLOSES = 512,       // the client says that it closes
    HAS_NAMED = 1024,   // Connection names headers
    HAS_OWN = 2048,     // headers for the gateway alone
  };

  enum Text { PATH_TEXT, QUERY, REQUEST_ID, CONTENT_TYPE, ACCEPT_ENCODING, KEY_TEXT, NAMED, OWN_LINES, TEXTS };

  // Of a client's own request id; a longer one is not taken.
  size_t request_id_bytes_max = 0;

  // `line`: method and target; `headers`: end with a name that has no data.
  void read(const UwsHeader& line, const UwsHeader* headers);

  uint32_t flags() const { return flags_; }
  std::string_view method() const { return method_; }
  std::string_view path() const { return texts_[PATH_TEXT]; }
  uint64_t content_length() const { return content_length_; }
  size_t header_bytes() const { return header_bytes_; }
  size_t target_bytes() const { return target_bytes_; }
  // What goes on to the provider: CRLF name: value for each header, in order, as the bytes that came.
  const std::string& lines() const { return lines_; }
  std::string_view text(int which) const { return texts_[which]; }

 private:
  void take_line(const UwsHeader& line);
  void take(std::string_view name, std::string_view value);
  void take_host(std::string_view value);
  void take_length(std::string_view value);
  void take_encoding(std::string_view value);
  void take_connection(std::string_view value);
  void take_authorization(std::string_view value);
  void take_request_id(std::string_view value);
  void take_type(std::string_view name, std::string_view value);
  void take_accept_encoding(std::string_view value);
  void forward(std::string_view name, std::string_view value);
  void set(Text which, std::string_view text, Flag flag);

  uint32_t flags_ = 0;
  unsigned hosts_ = 0;
  unsigned framings_ = 0;
  uint64_t content_length_ = 0;
  size_t header_bytes_ = 0;
  size_t target_bytes_ = 0;
  std::string_view method_;
  std::string_view texts_[TEXTS];
  std::string lines_;
  // The same of those that do not go on: x-sluice-...
  std::string own_;
  std::string named_;
};

}  // namespace sluice
