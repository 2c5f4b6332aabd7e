#include "chunk-reader.h"

#include "characters.h"

namespace sluice::upstream {
namespace {

constexpr uint8_t DIGITS_MAX = 15;
// Of one chunk. Nobody sends any; Node's parser takes 16 KB.
constexpr uint16_t EXTENSION_BYTES_MAX = 1'024;

int hex_digit(uint8_t c) {
  if (is_digit(c)) return c - '0';
  const uint8_t lower = c | 0x20;
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

ChunkReader::Found ChunkReader::next(uint8_t** at, const uint8_t* end) {
  while (state_ != State::DATA && *at < end) {
    const bool last = state_ == State::SIZE_LF && left_ == 0;
    state_ = read(**at);
    if (state_ == State::WRONG) return Found::WRONG;
    ++*at;
    if (last) return Found::LAST;
  }
  return state_ == State::DATA && *at < end ? Found::DATA : Found::MORE;
}

ChunkReader::State ChunkReader::read(uint8_t c) {
  switch (state_) {
    case State::SIZE_FIRST:
    case State::SIZE:
      return read_size(c);
    case State::SIZE_LF:
      digits_ = 0;
      extension_bytes_ = 0;
      return read_end(c, '\n', State::DATA);
    case State::DATA_CR:
      return read_end(c, '\r', State::DATA_LF);
    case State::DATA_LF:
      return read_end(c, '\n', State::SIZE_FIRST);
    default:
      return read_extension(c);
  }
}

ChunkReader::State ChunkReader::read_size(uint8_t c) {
  const int digit = hex_digit(c);
  if (digit >= 0) {
    if (digits_++ == DIGITS_MAX) return wrong("the size of a chunk has too many digits");
    left_ = left_ * 16 + static_cast<unsigned>(digit);
    return State::SIZE;
  }
  if (state_ == State::SIZE_FIRST) return wrong("a chunk has no size");
  if (c == '\r') return State::SIZE_LF;
  return c == ';' ? State::NAME_FIRST : wrong("the size of a chunk is malformed");
}

// ;name, ;name=token or ;name="quoted", without whitespace between them.
ChunkReader::State ChunkReader::read_extension(uint8_t c) {
  if (extension_bytes_++ == EXTENSION_BYTES_MAX) return wrong("the extensions of a chunk are too long");
  const bool ends = state_ == State::NAME || state_ == State::VALUE || state_ == State::QUOTED_END;
  if (ends && c == '\r') return State::SIZE_LF;
  if (ends && c == ';') return State::NAME_FIRST;
  if (state_ == State::NAME && c == '=') return State::VALUE_FIRST;
  if (state_ == State::VALUE_FIRST && c == '"') return State::QUOTED;
  if (state_ == State::QUOTED && c == '"') return State::QUOTED_END;
  if (state_ == State::QUOTED && c == '\\') return State::QUOTED_PAIR;
  if (state_ == State::QUOTED || state_ == State::QUOTED_PAIR) {
    return is_control(c) ? wrong("a chunk extension is malformed") : State::QUOTED;
  }
  if (state_ == State::QUOTED_END || LOWER_TOKEN[c] == 0) return wrong("a chunk extension is malformed");
  return state_ == State::NAME_FIRST || state_ == State::NAME ? State::NAME : State::VALUE;
}

ChunkReader::State ChunkReader::read_end(uint8_t c, uint8_t wanted, State then) {
  return c == wanted ? then : wrong("a chunk does not end with CR LF where its size says");
}

ChunkReader::State ChunkReader::wrong(const char* why) {
  reason = why;
  return State::WRONG;
}

}  // namespace sluice::upstream
