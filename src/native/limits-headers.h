// How a client is told where it stands: the headers that the OpenAI SDKs read, as text. Gateway worker; pure.
//
// In the addon, because a line that is put together in JavaScript costs as much as the decision: numbers become strings, strings become
// trees of parts, and the trees are walked when the head is written.
#pragma once
#include <cstddef>

#include "limits-program.h"

namespace sluice {

// Twice three headers: names, numbers of up to 19 digits, spans; LIMIT_LINES_BYTES_MAX is more.
constexpr size_t STANDING_BYTES_MAX = 448;

// Never too short.
int64_t whole_ms(int64_t ns);

// CRLF name: value for each header; nothing where no limit of a kind applies. Returns how many bytes were written.
size_t write_standing(char* out, const Standing& requests, const Standing& tokens);

}  // namespace sluice
