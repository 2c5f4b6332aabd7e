// What happened on any connection since JavaScript was called the last time: records of numbers, and the bytes that they have offsets
// to. Gateway worker, main thread. The layout is that of native/upstream.ts.
//
// The memory belongs to JavaScript. It is written between two calls of `onEvents` and read during them, never otherwise. A connection
// asks for room before each read, so that nothing is ever found out that there is no room for.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sluice::upstream {

enum class Kind : int32_t { CONNECTED = 1, CONNECT_FAILED, HEAD, BODY, END, FAIL, CLOSED };

enum class Cause : int32_t { SYSTEM = 1, PEER, PROTOCOL, TLS, CERTIFICATE };

constexpr int32_t FLAG_CHUNKED = 1;
constexpr int32_t FLAG_CLOSE_DELIMITED = 2;

// One read of a socket; what is left in the socket is read in the next turn, so that no connection keeps the others waiting.
constexpr size_t READ_BYTES = 65536;
// What one read gives when it was encrypted: with the rest of a record that had begun before.
constexpr size_t PLAIN_BYTES = READ_BYTES + 32768;
// The bound on the head of a response, and what it may become when the parser writes its lines and values.
constexpr size_t HEAD_BYTES_MAX = 65536;
constexpr size_t HEAD_TEXT_BYTES_MAX = HEAD_BYTES_MAX * 5 / 2;

class EventBatch {
 public:
  static constexpr size_t STRIDE = 16;
  static constexpr size_t RECORDS_MAX = 1024;
  static constexpr size_t NUMBERS = 1 + STRIDE * RECORDS_MAX;
  static constexpr size_t ROOM_BYTES = PLAIN_BYTES + HEAD_TEXT_BYTES_MAX;
  // Room for one read more once it is half full; usually only its beginning is touched, and stays in the cache.
  static constexpr size_t SLAB_BYTES = 2 * ROOM_BYTES;

  void attach(int32_t* events, uint8_t* slab) {
    events_ = events;
    slab_ = slab;
  }

  bool empty() const { return count_ == 0; }

  // For one read and all that may come of it.
  bool has_room() const { return count_ + RECORDS_PER_READ <= RECORDS_MAX && used_ + ROOM_BYTES <= SLAB_BYTES; }

  uint8_t* room() { return slab_ + used_; }

  // The first `bytes` of the room are in use.
  void keep(size_t bytes) { used_ += bytes; }

  int32_t offset_of(const uint8_t* at) const { return static_cast<int32_t>(at - slab_); }

  // A new record; where its third number goes.
  int32_t* add(int32_t connection, Kind kind) {
    int32_t* record = events_ + 1 + STRIDE * count_;
    count_ += 1;
    record[0] = connection;
    record[1] = static_cast<int32_t>(kind);
    if (kind == Kind::BODY) record[BODY_LAST] = 0;
    if (kind == Kind::END && count_ > 1) note_last(record - STRIDE, connection);
    return record + 2;
  }

  // Before JavaScript reads, and when it has read.
  void publish() { events_[0] = static_cast<int32_t>(count_); }
  void clear() {
    count_ = 0;
    used_ = 0;
  }

 private:
  // In a BODY record: whether the next one is the END of the same answer.
  static constexpr size_t BODY_LAST = 4;

  static void note_last(int32_t* before, int32_t connection) {
    if (before[0] == connection && before[1] == static_cast<int32_t>(Kind::BODY)) before[BODY_LAST] = 1;
  }

  // CONNECTED, HEAD, BODY, END, CLOSED.
  static constexpr size_t RECORDS_PER_READ = 8;

  int32_t* events_ = nullptr;
  uint8_t* slab_ = nullptr;
  size_t count_ = 0;
  size_t used_ = 0;
};

}  // namespace sluice::upstream
