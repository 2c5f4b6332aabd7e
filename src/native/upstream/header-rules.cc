#include "header-rules.h"

namespace sluice::upstream {
namespace {

struct Known {
  const char* name;
  HeaderKind kind;
  bool dropped;
};

constexpr Known KNOWN[] = {
  {"content-length", HeaderKind::CONTENT_LENGTH, true},
  {"transfer-encoding", HeaderKind::TRANSFER_ENCODING, true},
  {"connection", HeaderKind::CONNECTION, true},
  {"content-type", HeaderKind::CONTENT_TYPE, false},
  {"content-encoding", HeaderKind::CONTENT_ENCODING, false},
  {"x-request-id", HeaderKind::REQUEST_ID, false},
  {"keep-alive", HeaderKind::KEEP_ALIVE, false},
};

}  // namespace

HeaderRules::HeaderRules(uint32_t head_bytes_max) : head_bytes_max_(head_bytes_max) {
  for (const Known& known : KNOWN) {
    Rule* rule = enter(known.name, std::strlen(known.name));
    rule->kind = known.kind;
    rule->dropped = known.dropped;
  }
}

bool HeaderRules::drop(const char* name, size_t length) {
  if (length == 0 || length > NAME_LENGTH_MAX || count_ >= RULES_MAX) return false;
  enter(name, length)->dropped = true;
  return true;
}

HeaderRules::Rule* HeaderRules::enter(const char* name, size_t length) {
  size_t at = place(name, length);
  while (rules_[at].length != 0) {
    if (rules_[at].length == length && std::memcmp(rules_[at].name, name, length) == 0) return &rules_[at];
    at = (at + 1) % PLACES;
  }
  rules_[at].length = static_cast<uint8_t>(length);
  std::memcpy(rules_[at].name, name, length);
  count_++;
  return &rules_[at];
}

}  // namespace sluice::upstream
