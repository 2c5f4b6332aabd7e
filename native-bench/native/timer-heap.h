// Timers with a nanosecond deadline each: a binary heap of timers that know their place in it, so that one can be moved or taken
// out. Setting and firing costs the logarithm of how many there are.
#pragma once
#include <cstddef>
#include <utility>
#include <vector>

#include "clock.h"

namespace bench {

class Timer {
 public:
  uint64_t due_ns() const { return due_ns_; }
  bool is_set() const { return place_ != UNSET; }

 private:
  friend class TimerHeap;
  static constexpr size_t UNSET = SIZE_MAX;
  uint64_t due_ns_ = 0;
  size_t place_ = UNSET;
};

class TimerHeap {
 public:
  uint64_t next_ns() const { return heap_.empty() ? NEVER : heap_.front()->due_ns_; }

  void set(Timer* timer, uint64_t due_ns) {
    if (!timer->is_set()) {
      timer->place_ = heap_.size();
      heap_.push_back(timer);
    }
    timer->due_ns_ = due_ns;
    up(timer->place_);
    down(timer->place_);
  }

  void clear(Timer* timer) {
    if (!timer->is_set()) return;
    const size_t hole = timer->place_;
    Timer* const last = heap_.back();
    heap_.pop_back();
    timer->place_ = Timer::UNSET;
    if (last == timer) return;
    put(last, hole);
    up(hole);
    down(last->place_);
  }

  // The first one that is due, taken out; null when there is none.
  Timer* take(uint64_t now) {
    if (heap_.empty() || heap_.front()->due_ns_ > now) return nullptr;
    Timer* const timer = heap_.front();
    clear(timer);
    return timer;
  }

 private:
  void put(Timer* timer, size_t place) {
    heap_[place] = timer;
    timer->place_ = place;
  }

  void up(size_t place) {
    Timer* const timer = heap_[place];
    for (; place > 0 && timer->due_ns_ < heap_[(place - 1) / 2]->due_ns_; place = (place - 1) / 2) {
      put(heap_[(place - 1) / 2], place);
    }
    put(timer, place);
  }

  void down(size_t place) {
    Timer* const timer = heap_[place];
    for (;;) {
      size_t child = 2 * place + 1;
      if (child >= heap_.size()) break;
      if (child + 1 < heap_.size() && heap_[child + 1]->due_ns_ < heap_[child]->due_ns_) child++;
      if (heap_[child]->due_ns_ >= timer->due_ns_) break;
      put(heap_[child], place);
      place = child;
    }
    put(timer, place);
  }

  std::vector<Timer*> heap_;
};

}  // namespace bench
