// The framing of chunked bodies (RFC 9112 7.1), without the trailers. Part of the response parser. No whitespace, no bare LF; chunk
// extensions are checked, and nobody gets them.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sluice::upstream {

class ChunkReader {
 public:
  enum class Found : uint8_t { MORE, DATA, LAST, WRONG };

  void begin() { *this = ChunkReader(); }

  // Reads framing from *at on, and moves *at behind it. DATA: data of a chunk is at *at; LAST: the trailers begin there; MORE: it is
  // the end; WRONG: `reason`.
  Found next(uint8_t** at, const uint8_t* end);

  // How much of the chunk's data is to come.
  uint64_t left() const { return left_; }

  // `count` bytes of the data, at most left(), were taken.
  void take(uint64_t count) {
    left_ -= count;
    if (left_ == 0) state_ = State::DATA_CR;
  }

  const char* reason = nullptr;

 private:
  enum class State : uint8_t {
    SIZE_FIRST, SIZE, NAME_FIRST, NAME, VALUE_FIRST, VALUE, QUOTED, QUOTED_PAIR, QUOTED_END, SIZE_LF, DATA, DATA_CR, DATA_LF, WRONG
  };

  State read(uint8_t c);
  State read_size(uint8_t c);
  State read_extension(uint8_t c);
  State read_end(uint8_t c, uint8_t wanted, State then);
  State wrong(const char* why);

  uint64_t left_ = 0;
  uint16_t extension_bytes_ = 0;
  uint8_t digits_ = 0;
  State state_ = State::SIZE_FIRST;
};

}  // namespace sluice::upstream
