// Timers that all have the same delay: a list in the order in which they were set is in the order in which they expire. Setting
// and clearing one costs a few stores, so a time-out per request costs next to nothing.
#pragma once
#include "clock.h"

namespace bench {

struct WaitNode {
  WaitNode* before = nullptr;
  WaitNode* after = nullptr;
  uint64_t due_ns = 0;
};

class WaitList {
 public:
  WaitList() { head_.before = head_.after = &head_; }
  WaitList(const WaitList&) = delete;
  WaitList& operator=(const WaitList&) = delete;

  // `due_ns` must not be before that of any other.
  void set(WaitNode* node, uint64_t due_ns) {
    clear(node);
    node->due_ns = due_ns;
    node->before = head_.before;
    node->after = &head_;
    head_.before->after = node;
    head_.before = node;
  }

  static void clear(WaitNode* node) {
    if (node->before == nullptr) return;
    node->before->after = node->after;
    node->after->before = node->before;
    node->before = node->after = nullptr;
  }

  bool empty() const { return head_.after == &head_; }
  uint64_t next_ns() const { return empty() ? NEVER : head_.after->due_ns; }

  // The first one that is due, taken out; null when there is none.
  WaitNode* take(uint64_t now) {
    WaitNode* node = head_.after;
    if (node == &head_ || node->due_ns > now) return nullptr;
    clear(node);
    return node;
  }

 private:
  WaitNode head_;
};

}  // namespace bench
