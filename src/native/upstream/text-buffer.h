// Bytes that grow and are kept: an allocation the first few times, none after. Not copied, only moved.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

namespace sluice::upstream {

class TextBuffer {
 public:
  const char* data() const { return bytes_.get(); }
  char* data() { return bytes_.get(); }
  size_t length() const { return length_; }

  // `length`: no more than it has.
  void cut(size_t length) { length_ = length; }

  // Room for `more` bytes behind the end; where they go.
  char* reserve(size_t more) {
    if (capacity_ - length_ < more) grow(length_ + more);
    return bytes_.get() + length_;
  }

  // The next `count` bytes, written to the room that was reserved, are part of it.
  void advance(size_t count) { length_ += count; }

  void append(const void* from, size_t count) {
    if (count == 0) return;
    std::memcpy(reserve(count), from, count);
    length_ += count;
  }

  // Empty again; with more than `bytes_max` it gives its memory back.
  void restart(size_t bytes_max) {
    length_ = 0;
    if (capacity_ > bytes_max) release();
  }

  // Gives the memory back.
  void release() {
    bytes_.reset();
    length_ = capacity_ = 0;
  }

 private:
  static constexpr size_t CAPACITY_MIN = 256;

  struct Free {
    void operator()(char* bytes) const { std::free(bytes); }
  };

  void grow(size_t wanted) {
    size_t capacity = capacity_ < CAPACITY_MIN ? CAPACITY_MIN : capacity_ * 2;
    while (capacity < wanted) capacity *= 2;
    char* bytes = static_cast<char*>(std::realloc(bytes_.get(), capacity));
    if (bytes == nullptr) throw std::bad_alloc();
    static_cast<void>(bytes_.release());
    bytes_.reset(bytes);
    capacity_ = capacity;
  }

  std::unique_ptr<char[], Free> bytes_;
  size_t length_ = 0;
  size_t capacity_ = 0;
};

}  // namespace sluice::upstream
