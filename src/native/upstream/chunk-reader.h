// The framing of chunked bodies (RFC 9112 7.1), without the trailers. Part of the response parser.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sluice::upstream {

class ChunkReader {
 public:
  enum class Found : uint8_t { MORE, DATA, LAST, WRONG };

  void begin() { *this = ChunkReader(); }

  // Reads framing from *at on and moves *at behind what it read. DATA: *at is at data of a chunk, `left` more bytes of it are expected;
  // LAST: the trailers begin at *at; MORE: *at is the end; WRONG: `reason`.
  Found next(const uint8_t** at, const uint8_t* end);

  // `count` bytes of the data, at most `left`, were taken.
  void take(uint64_t count);

  uint64_t left = 0;
  const char* reason = nullptr;

 private:
  enum class State : uint8_t {
    SIZE_FIRST, SIZE, EXTENSION_NAME_FIRST, EXTENSION_NAME, EXTENSION_VALUE_FIRST, EXTENSION_VALUE, QUOTED, QUOTED_PAIR, QUOTED_END,
    SIZE_LF, DATA, DATA_CR, DATA_LF
  };

  State state_ = State::SIZE_FIRST;
  uint8_t digits_ = 0;
  uint16_t extension_bytes_ = 0;
};

}  // namespace sluice::upstream
