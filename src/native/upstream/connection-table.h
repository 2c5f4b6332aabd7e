// Numbers of connections: a slot in the lower 16 bits, which is used again, and above it how often it was, so that a number that has
// ended finds nothing. Gateway worker, main thread.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::upstream {

class Connection;

class ConnectionTable {
 public:
  static constexpr size_t SLOTS_MAX = 65535;

  explicit ConnectionTable(size_t connections_max) : connections_max_(connections_max) {}

  bool is_full() const { return count_ + resting_.size() >= connections_max_; }

  // The number of `connection` from now on; only when it is not full.
  int32_t enter(Connection* connection) {
    if (free_.empty()) {
      free_.push_back(static_cast<uint16_t>(slots_.size()));
      slots_.push_back({});
    }
    const uint16_t at = free_.back();
    free_.pop_back();
    slots_[at].connection = connection;
    count_ += 1;
    return number(at);
  }

  // Its slot rests until the records about it have been read: JavaScript looks up by slot who a record is for.
  void leave(int32_t id) {
    const auto at = static_cast<uint16_t>(id);
    slots_[at].connection = nullptr;
    slots_[at].generation = slots_[at].generation == GENERATION_MAX ? 1 : slots_[at].generation + 1;
    resting_.push_back(at);
    count_ -= 1;
  }

  // No record about a connection that has left is to be read any more.
  void end_rest() {
    free_.insert(free_.end(), resting_.begin(), resting_.end());
    resting_.clear();
  }

  // nullptr: it has ended, or never was.
  Connection* at(int32_t id) const {
    const auto slot = static_cast<uint16_t>(id);
    return id > 0 && slot < slots_.size() && number(slot) == id ? slots_[slot].connection : nullptr;
  }

  // By slot, up to slots(); nullptr: nobody has it now.
  Connection* in_slot(size_t slot) const { return slots_[slot].connection; }
  size_t slots() const { return slots_.size(); }

  size_t count() const { return count_; }

 private:
  static constexpr int32_t GENERATION_MAX = 0x7fff;

  struct Slot {
    Connection* connection = nullptr;
    int32_t generation = 1;
  };

  int32_t number(uint16_t slot) const { return slots_[slot].generation << 16 | slot; }

  size_t connections_max_;
  size_t count_ = 0;
  std::vector<Slot> slots_;
  std::vector<uint16_t> free_;
  std::vector<uint16_t> resting_;
};

}  // namespace sluice::upstream
