// The walk: stage 2 of the request scan. Checks the grammar of a body over the positions that stage 1 (json-index.h) found, and
// tells its routing fields. Gateway worker, main thread.
//
// Walk<false, ...> takes a whole body. Walk<true, ...> takes a body that comes in pieces: where fewer than two positions are left it
// suspends, so that a label has whatever it looks at; at most one position is left over for the next piece.
#pragma once
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <type_traits>

#include "addon.h"
#include "json-index.h"
#include "json-number.h"
#include "scan-fields.h"
#include "scan-look.h"

namespace sluice {

constexpr size_t DEPTH_MAX = 1024;

// Of each file that includes it, so that the compiler may take functions apart that have one caller.
namespace {

inline bool is_space(uint8_t c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

// Between two pieces: where the walk goes on.
struct Suspended {
  enum Label : uint8_t { KEY, FIELD, VALUE, CLOSE };

  Label label = VALUE;
  bool object = false;
  // The routing field whose key has been, and whose value has not begun.
  Field named = NONE;
  // As in the walk, less the white space that has come.
  size_t gap = 0;
};

// Checks the grammar over the structural positions. It takes most of the time of a scan after stage 1: a state machine whose
// states are labels, so that each has branches of its own to predict, over a cursor that the compiler keeps in registers.
//
// LOOKS: for what conditions and capabilities ask as well (scan-look.h); without it, nothing of that costs anything.
template <bool PARTIAL, bool LOOKS>
class Walk {
 public:
  // `fields`: of the outermost object, to look for; they live longer.
  explicit Walk(int32_t* out, const Fields* fields = nullptr) : out_(out), look_(out, fields) {}

  // Of a whole body.
  Code run(const Bytes& body, const JsonIndex& index, size_t depth_max) {
    take(body, index, depth_max);
    if (count_ == 0) positions_[0] = 0;
    close_positions(positions_[0]);
    const Code code = walk();
    return code == OK ? finish(positions_[0], count_ > 0) : code;
  }

  // Of all that has come of a body. Takes the waiting position out of `place`, and puts there what is left over.
  Code go_on(const Bytes& body, const JsonIndex& index, IndexPlace& place, size_t depth_max, bool last) {
    take(body, index, depth_max);
    place_ = &place;
    last_ = last;
    if (count_ > 0 && first_ == NOWHERE) first_ = positions_[0];
    const bool begun = first_ != NOWHERE;
    if (last) close_positions(begun ? first_ : 0);
    const Code code = walk();
    if (code != OK) return code;
    solid_ = solid_end(place.indexed);
    before_ = place.indexed;
    return last ? finish(begun ? first_ : 0, begun) : OK;
  }

  // What stands at `from` or behind it now stands `delta` bytes further on.
  void shift(size_t from, ptrdiff_t delta) {
    for (size_t* offset : {&at_.gap, &member_, &solid_, &before_, &number_.from, &number_.next, &last_end_, &key_start_, &key_end_}) {
      if (*offset >= from) *offset += static_cast<size_t>(delta);
    }
  }

 private:
  Code walk() {
    uint32_t i = 0;
    Field named = NONE;
    // Behind the position before the cursor: from here on only white space, or a scalar, may stand in front of the cursor's.
    size_t gap = 0;
    bool object = false;
    if constexpr (PARTIAL) {
      gap = at_.gap;
      object = at_.object;
      named = at_.named;
      switch (at_.label) {
        case Suspended::KEY: goto key;
        case Suspended::FIELD: goto field;
        case Suspended::VALUE: goto value;
        case Suspended::CLOSE: goto close;
      }
    }
    goto value;

  key: {
    if (waits(i)) return suspend({Suspended::KEY, object, NONE, gap}, i);
    const size_t start = positions_[i];
    const size_t end = positions_[i + 1];
    if (body_[start] != '"' || !blank(gap, start)) return invalid(i);
    if (!set_string(start, end, i)) return fail(INVALID, behind_string(start));
    if (body_[end] != ':') return invalid(i + 1);
    key_start_ = start + 1;
    key_end_ = last_end_ - 1;
    gap = end + 1;
    i += 2;
    if (depth_ == 1 || (depth_ == 2 && in_options_)) {
      const Code code = name_field(&named);
      if (code != OK) return code;
      if (named != NONE) goto field;
    }
  }

  value: {
    if (waits_for_value(i, gap)) return suspend({Suspended::VALUE, object, NONE, gap}, i);
    const size_t start = positions_[i];
    if (i >= count_) {
      gap = skip_space(gap, length_);
      if (depth_ > 0 || gap == length_) return invalid(i);
      return scalar(gap, length_) ? OK : fail(INVALID, static_cast<int32_t>(gap));
    }
    if (gap != start) {
      gap = skip_space(gap, start);
      if (gap != start) {
        if (!scalar(gap, start)) return fail(INVALID, static_cast<int32_t>(gap));
        goto after;
      }
    }
    const uint8_t c = body_[start];
    const size_t next = positions_[i + 1];
    if (c == '"') {
      if (!set_string(start, next, i)) return fail(INVALID, behind_string(start));
      count_text(start);
      if (LOOKS && object) look_.at_string(body_, start, last_end_, key_start_, key_end_, depth_);
      i++;
      goto after;
    }
    if (c != '{' && c != '[') {
      // A scalar whose beginning is a position, or something that is not a value.
      if (!scalar(start, i + 1 < count_ ? next : length_)) return invalid(i);
      i++;
      goto after;
    }
    object = c == '{';
    if (depth_ == depth_max_) return fail(TOO_DEEP, static_cast<int32_t>(start));
    push(object);
    gap = start + 1;
    i++;
    if (body_[next] == (object ? '}' : ']') && blank(gap, next)) goto close;
    if (object) goto key;
    goto value;
  }

  after: {
    if (depth_ <= 2) {
      if (depth_ == 0) return i == count_ ? OK : invalid(i);
      if (pending_ != NONE || in_options_) end_field();
    }
    const size_t at = positions_[i];
    const uint8_t c = body_[at];
    if (c == ',') {
      gap = at + 1;
      i++;
      if (object) goto key;
      goto value;
    }
    if (c != (object ? '}' : ']')) return invalid(i);
  }

  close: {
    if (waits(i)) return suspend({Suspended::CLOSE, object, NONE, std::max(gap, positions_[i] + size_t{1})}, i);
    last_end_ = positions_[i] + size_t{1};
    i++;
    if (!blank(PARTIAL ? std::max(gap, last_end_) : last_end_, i < count_ ? positions_[i] : length_)) return invalid(i);
    object = pop();
    goto after;
  }

  // Seldom, and so not in the way.
  field: {
    if (waits_for_value(i, gap)) return suspend({Suspended::FIELD, object, named, gap}, i);
    const Code code = i < count_ ? start_field(named, skip_space(gap, positions_[i]), i) : invalid(i);
    if (code != OK) return code;
    named = NONE;
    goto value;
  }
  }

  void push(bool object) {
    objects_[depth_] = object;
    depth_++;
  }

  // Whether it is an object that goes on.
  bool pop() {
    depth_--;
    return depth_ > 0 && objects_[depth_ - 1];
  }

  size_t skip_space(size_t from, size_t to) const {
    while (from < to && is_space(body_[from])) from++;
    return from;
  }

  bool blank(size_t from, size_t to) const { return from == to || skip_space(from, to) == to; }

  // `*named`: the routing field that the key names, if it does.
  Code name_field(Field* named) {
    if constexpr (LOOKS) {
      if (depth_ == 1 && look_.at_key(body_ + key_start_, body_ + key_end_)) *named = LOOKED_FOR;
    }
    const auto [field, exact] = field_of(body_ + key_start_, body_ + key_end_, depth_);
    if (field == NONE) return OK;
    if (field >= OUTPUT_TOKENS) {
      if (exact) *named = field;
      return OK;
    }
    if (seen_ & (1u << field)) return fail(DUPLICATE, field);
    seen_ |= 1u << field;
    if (!exact) return OK;
    *named = field;
    if constexpr (PARTIAL) {
      out_[SEEN] |= 1 << field;
      if (depth_ == 1) member_ = key_start_ - 1;
    }
    return OK;
  }

  // The value stands at position `value`, or is a scalar before it. Types are checked at the first byte; the value itself is
  // walked like any other.
  Code start_field(Field field, size_t start, uint32_t value) {
    const uint8_t c = body_[start];
    const int32_t at = static_cast<int32_t>(start);
    pending_ = field;
    if constexpr (LOOKS) {
      if (depth_ == 1) look_.at_value(c, at, c == '[' && !empty_array(start, positions_[value + 1]));
      if (field == LOOKED_FOR) {
        if (c == '{' || c == '[') pending_ = NONE;
        return OK;
      }
    }
    switch (field) {
      case OUTPUT_TOKENS:
      case CHOICES: return OK;
      case USER:
        out_[USER_START] = c == '{' || c == '[' || c == 'n' ? -1 : at;
        return OK;
      case MODEL:
        if (c != '"') return fail(WRONG_TYPE, field);
        out_[MODEL_START] = at;
        return OK;
      case STREAM:
        if (c != 't' && c != 'f' && c != 'n') return fail(WRONG_TYPE, field);
        out_[STREAM_VALUE] = c == 't';
        return OK;
      case STREAM_OPTIONS:
        if (c != '{' && c != 'n') return fail(WRONG_TYPE, field);
        out_[OPTIONS_START] = at;
        out_[OPTIONS_KIND] = c == 'n' ? 1 : body_[positions_[value + 1]] == '}' ? 2 : 3;
        in_options_ = c == '{';
        return OK;
      default:
        if (c != 't' && c != 'f' && c != 'n') return fail(WRONG_TYPE, field);
        out_[USAGE_START] = at;
        out_[USAGE_VALUE] = c == 't';
        return OK;
    }
  }

  // `next`: the position behind its bracket. Where scalars have no position, one may stand before that.
  bool empty_array(size_t start, size_t next) const { return body_[next] == ']' && blank(start + 1, next); }

  void end_field() {
    const int32_t end = static_cast<int32_t>(last_end_);
    if (depth_ == 2 && pending_ == INCLUDE_USAGE) out_[USAGE_END] = end;
    if (depth_ == 1 && pending_ == MODEL) {
      out_[MODEL_END] = end;
      out_[MODEL_ESCAPED] = std::memchr(body_ + out_[MODEL_START], '\\', static_cast<size_t>(end - out_[MODEL_START])) != nullptr;
    }
    if (depth_ == 1 && pending_ == OUTPUT_TOKENS) raise(OUTPUT_MAX);
    if (depth_ == 1 && pending_ == USER) out_[USER_END] = end;
    if (depth_ == 1 && pending_ == CHOICES) raise(CHOICE_COUNT);
    if constexpr (LOOKS) {
      if (depth_ == 1) look_.behind_value(end);
    }
    if (PARTIAL && depth_ == 1 && pending_ == STREAM) out_[STREAM_WHOLE] = 1;
    if (depth_ == 1 && out_[OPTIONS_START] >= 0 && out_[OPTIONS_END] < 0) {
      out_[OPTIONS_END] = end;
      in_options_ = false;
    }
    pending_ = NONE;
  }

  // To the number that ends at `last_end_`, if one does.
  void raise(Out slot) {
    constexpr size_t DIGITS_MAX = 24;
    size_t start = last_end_;
    if (!is_digit(body_[start - 1])) return;
    while (start > 0 && last_end_ - start < DIGITS_MAX && in_number(body_[start - 1])) start--;
    const std::string digits(reinterpret_cast<const char*>(body_) + start, last_end_ - start);
    const double value = std::strtod(digits.c_str(), nullptr);
    const int32_t whole = value >= INT32_MAX ? INT32_MAX : value >= 0 ? static_cast<int32_t>(value) : -1;
    if (whole > out_[slot]) out_[slot] = whole;
  }

  static bool in_number(uint8_t c) { return is_digit(c) || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-'; }

  // Sets `last_end_` behind the string at position `i`, which is in front of the next position and the white space before that.
  // What stands there is its closing quote, unless the string is followed by something else.
  bool set_string(size_t start, size_t next, uint32_t i) {
    last_end_ = next;
    // The position behind the last one is the first one again, and so never right here.
    if (next > start + 1 && body_[next - 1] == '"') return true;
    last_end_ = trim(start, i + 1 < count_ ? next : length_);
    return last_end_ >= start + 2 && body_[last_end_ - 1] == '"';
  }

  // Where something follows the string at `start` that may not; stage 1 guarantees that it is closed.
  int32_t behind_string(size_t start) const {
    size_t at = start + 1;
    while (body_[at] != '"') at += body_[at] == '\\' ? 2 : 1;
    return static_cast<int32_t>(skip_space(at + 1, length_));
  }

  size_t trim(size_t start, size_t end) const {
    if constexpr (PARTIAL) {
      if (start < before_) return std::max(start, solid_end(end));
    }
    while (end > start && is_space(body_[end - 1])) end--;
    return end;
  }

  // The same from the beginning of the body on, for an end in this piece: white space of former ones is not looked at again.
  size_t solid_end(size_t end) const {
    while (end > before_ && is_space(body_[end - 1])) end--;
    return end > before_ ? end : solid_;
  }

  // A scalar and white space behind it in [start, end).
  bool scalar(size_t start, size_t end) {
    last_end_ = trim(start, end);
    const char* text = reinterpret_cast<const char*>(body_ + start);
    const size_t length = last_end_ - start;
    switch (*text) {
      case 't': return equals(text, length, "true");
      case 'f': return equals(text, length, "false");
      case 'n': return equals(text, length, "null");
      default: return is_number(start);
    }
  }

  bool is_number(size_t start) {
    if (!PARTIAL || number_.from != start) return number_valid(body_ + start, body_ + last_end_);
    number_.read(body_, start, last_end_);
    return number_.valid();
  }

  // Text that a model reads, for estimates: not names, not inline files (data URLs, base64 in "data" members).
  void count_text(size_t start) {
    const size_t bytes = last_end_ - start - 2;
    if (!is_file(body_ + start + 1, bytes) && !names_file()) text_bytes_ += bytes;
  }

  static bool is_file(const uint8_t* text, size_t bytes) {
    return bytes >= 5 && text[0] == 'd' && std::memcmp(text, "data:", 5) == 0;
  }

  bool names_file() const {
    const char* key = reinterpret_cast<const char*>(body_ + key_start_);
    switch (key_end_ - key_start_) {
      case 4: return std::memcmp(key, "data", 4) == 0;
      case 5: return std::memcmp(key, "model", 5) == 0;
      case 9: return std::memcmp(key, "file_data", 9) == 0;
      default: return false;
    }
  }

  void take(const Bytes& body, const JsonIndex& index, size_t depth_max) {
    body_ = body.data;
    length_ = body.length;
    positions_ = index.positions;
    count_ = index.count;
    depth_max_ = depth_max;
  }

  // Behind the last position the cursor meets the first one again. No first byte of a value is right where a key, a comma or
  // an end is due, so only where a value is due the cursor has to be compared with the count.
  void close_positions(uint32_t first) { positions_[count_] = positions_[count_ + 1] = first; }

  // `begun`: there is a position at all.
  Code finish(uint32_t first, bool begun) {
    out_[OBJECT_START] = static_cast<int32_t>(first);
    if (!begun || body_[first] != '{') return fail(NOT_OBJECT, 0);
    if (PARTIAL) out_[CHECKED] = static_cast<int32_t>(length_);
    return OK;
  }

  // Whether the next piece is needed at a label.
  bool waits(uint32_t i) const {
    if constexpr (PARTIAL) return i + 1 >= count_ && !last_;
    return false;
  }

  // A scalar ends at position `i`, and needs no other: so it ends in the piece in which it is looked at.
  bool waits_for_value(uint32_t i, size_t gap) const {
    return waits(i) && (i == count_ || blank(gap, positions_[i]));
  }

  Code suspend(Suspended at, uint32_t i) {
    const bool left = i < count_;
    const bool closes = at.label == Suspended::CLOSE;
    at.gap = skip_space(at.gap, left && !closes ? positions_[i] : place_->indexed);
    at_ = at;
    follow_number();
    place_->waiting = left ? positions_[i] : NOWHERE;
    if (first_ != NOWHERE && body_[first_] == '{') tell_checked();
    return OK;
  }

  // Of a value that begins here and has no end yet.
  void follow_number() {
    const size_t end = solid_end(place_->indexed);
    const bool in_value = at_.label == Suspended::VALUE || at_.label == Suspended::FIELD;
    if (in_value && at_.gap < end && (body_[at_.gap] == '-' || is_digit(body_[at_.gap]))) number_.read(body_, at_.gap, end);
  }

  void tell_checked() {
    out_[OBJECT_START] = static_cast<int32_t>(first_);
    const auto checked = static_cast<int32_t>(std::min(checked_end(), place_->right()));
    out_[CHECKED] = std::max(out_[CHECKED], checked);
  }

  // Behind all that is accepted: whole tokens, and what has come of a string that is a value. Not the last bracket of the body, and
  // of a routing field all or nothing.
  size_t checked_end() const {
    if (at_.named != NONE || pending_ != NONE || in_options_) return member_;
    const uint32_t waiting = place_->waiting;
    if (at_.label == Suspended::CLOSE) return waiting;
    const bool in_value = at_.label == Suspended::VALUE && at_.gap == waiting && place_->inside != 0;
    return in_value ? place_->indexed : at_.gap;
  }

  Code invalid(uint32_t i) { return fail(INVALID, static_cast<int32_t>(i < count_ ? positions_[i] : length_)); }
  Code fail(Code code, int32_t detail) {
    out_[DETAIL] = detail;
    return code;
  }

 public:
  int32_t text_bytes() const { return static_cast<int32_t>(text_bytes_ < INT32_MAX ? text_bytes_ : INT32_MAX); }

 private:
  const uint8_t* body_ = nullptr;
  size_t length_ = 0;
  uint32_t* positions_ = nullptr;
  uint32_t count_ = 0;
  size_t depth_max_ = 0;
  int32_t* const out_;
  size_t depth_ = 0;
  size_t last_end_ = 0;
  size_t key_start_ = 0;
  size_t key_end_ = 0;
  size_t text_bytes_ = 0;
  uint32_t seen_ = 0;
  Field pending_ = NONE;
  bool in_options_ = false;
  // Of Walk<true>.
  bool last_ = true;
  IndexPlace* place_ = nullptr;
  Suspended at_;
  uint32_t first_ = NOWHERE;
  // The key of the last routing field of the outermost object.
  size_t member_ = 0;
  // Where this piece begins, and the end of all before it less the white space there.
  size_t before_ = 0;
  size_t solid_ = 0;
  NumberFollower number_;
  // Not cleared: a bit is written before it is read.
  bool objects_[DEPTH_MAX];
  // Of one that looks for more.
  std::conditional_t<LOOKS, Look, NoLook> look_;
};

}  // namespace
}  // namespace sluice
