// What the mock provider answers, OpenAI-shaped: every byte is made at the start, a request only picks.
#pragma once
#include <string>

#include "mock-options.h"

namespace bench {

// A stream is sent as `opening` (head and first event), then `event` for every further one, then `closing` (finish, usage,
// [DONE]). Without a delay between them it is `at_once`. Without content events `opening` is the head alone.
struct StreamAnswer {
  std::string opening;
  std::string event;
  std::string closing;
  std::string at_once;
};

struct MockAnswers {
  std::string completion;
  std::string embeddings;
  std::string models;
  std::string error;      // of --error-status
  std::string not_found;
  std::string malformed;  // to what is no HTTP/1.1 request; the connection ends with it
  StreamAnswer stream;

  explicit MockAnswers(const MockOptions& options);
};

}  // namespace bench
