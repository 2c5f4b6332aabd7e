// Finds the events of an answer, and what the JSON in them says. Part of the response scan.
#pragma once
#include "json-follower.h"

namespace sluice {

// Flags of responseFeed; src/providers/response-scan.ts has the same list.
enum Flag : int32_t {
  USAGE_SEEN = 1, FINISHED = 2, TERMINAL = 4, ERROR_SEEN = 8, JSON_COMPLETE = 16, STRIPPABLE = 32, TERMINAL_ENDED = 64
};

// Slots of the feed result: offsets into the chunk.
enum FeedOut : int32_t {
  BOUNDARY = 0,     // after the last event that ended in this chunk; -1: none ended
  STRIP_START = 1,  // of the usage event; -1: it began in an earlier chunk
  STRIP_END = 2,    // one feed later once more, when a chunk border was between CR and LF: of the LF
  FEED_OUT_LENGTH = 3
};

constexpr uint32_t DONE_LENGTH = 6;

// First CR or LF in [p, end).
inline const uint8_t* find_line_end(const uint8_t* p, const uint8_t* end) {
  const __m128i lf = _mm_set1_epi8('\n');
  const __m128i cr = _mm_set1_epi8('\r');
  for (; end - p >= 16; p += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const int mask = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(bytes, lf), _mm_cmpeq_epi8(bytes, cr)));
    if (mask != 0) return p + __builtin_ctz(static_cast<unsigned>(mask));
  }
  while (p < end && *p != '\n' && *p != '\r') p++;
  return p;
}

// Server-sent events (WHATWG HTML 9.2.6): lines end with CR, LF or CRLF, an empty line ends an event.
class Scanner {
 public:
  // For another answer; field by field, because most of a scanner is what its follower remembers.
  void begin(bool events) {
    open = true;
    events_ = events;
    event_begun_ = skip_lf_ = strip_cut_ = false;
    flags_ = event_start_ = 0;
    name_length_ = done_matched_ = 0;
    json_.restart();
  }

  int32_t feed(const uint8_t* data, size_t length, int32_t* out) {
    out[BOUNDARY] = out[STRIP_START] = out[STRIP_END] = -1;
    if (events_) {
      feed_events(data, data + length, out);
    } else {
      json_.feed(data, data + length);
      // The rest of a document may take back what its beginning said.
      flags_ &= ~USAGE_SEEN;
      settle_document();
    }
    return flags_ | (json_.finished ? FINISHED : 0) | (json_.terminal ? TERMINAL : 0);
  }

  const double* figures() const { return json_.figures; }
  bool open = false;

 private:
  void feed_events(const uint8_t* data, const uint8_t* end, int32_t* out) {
    if (data == end) return;
    const uint8_t* p = data;
    const bool lf_is_stripped = strip_cut_;
    strip_cut_ = false;
    event_start_ = event_begun_ ? -1 : 0;
    while (p < end) {
      if (skip_lf_) {
        skip_lf_ = false;
        if (*p == '\n') {
          p++;
          if (lf_is_stripped && p == data + 1) strip(0, 1, out);
          border(static_cast<int32_t>(p - data), out);
          continue;
        }
      }
      const uint8_t* line_end = find_line_end(p, end);
      line(p, line_end);
      if (line_end == end) return;
      p = line_end + 1;
      skip_lf_ = *line_end == '\r';
      end_line(static_cast<int32_t>(p - data), out);
    }
    strip_cut_ = skip_lf_ && out[STRIP_END] == end - data;
  }

  static void strip(int32_t start, int32_t end, int32_t* out) {
    out[STRIP_START] = start;
    out[STRIP_END] = end;
  }

  // The LF of a CRLF belongs to the line before it: moves a border that was set at the CR.
  void border(int32_t offset, int32_t* out) {
    if (event_begun_) return;
    if (out[STRIP_END] == out[BOUNDARY] && out[STRIP_END] >= 0) out[STRIP_END] = offset;
    out[BOUNDARY] = offset;
    event_start_ = offset;
  }

  void line(const uint8_t* p, const uint8_t* end) {
    if (p == end) return;
    event_begun_ = true;
    while (p < end && name_length_ < 5) name_[name_length_++] = static_cast<char>(*p++);
    if (name_length_ < 5 || std::memcmp(name_, "data:", 5) != 0) return;
    watch_done(p, end);
    json_.feed(p, end);
  }

  // "[DONE]" with at most one space before it.
  void watch_done(const uint8_t* p, const uint8_t* end) {
    for (; p < end && done_matched_ < DONE_LENGTH; p++) {
      if (*p == ' ' && done_matched_ == 0) continue;
      if (*p != static_cast<uint8_t>("[DONE]"[done_matched_])) {
        done_matched_ = DONE_LENGTH + 1;
      } else if (++done_matched_ == DONE_LENGTH) {
        flags_ |= TERMINAL;
      }
    }
  }

  void end_line(int32_t offset, int32_t* out) {
    const bool empty = name_length_ == 0;
    name_length_ = 0;
    if (!empty) return;
    if (event_begun_) end_event(offset, out);
    event_begun_ = false;
    event_start_ = offset;
    out[BOUNDARY] = offset;
  }

  void end_event(int32_t offset, int32_t* out) {
    const bool strippable = json_.usage_here && json_.choices_empty && !(flags_ & STRIPPABLE);
    settle_document();
    if (json_.terminal || (flags_ & TERMINAL)) flags_ |= TERMINAL_ENDED;
    if (strippable) {
      flags_ |= STRIPPABLE;
      strip(event_start_, offset, out);
    }
    done_matched_ = 0;
    json_.reset();
  }

  void settle_document() {
    if (json_.usage_here && !json_.usage_wrong) flags_ |= USAGE_SEEN;
    if (json_.error_here) flags_ |= ERROR_SEEN;
    if (json_.complete && done_matched_ != DONE_LENGTH) flags_ |= JSON_COMPLETE;
  }

  JsonFollower json_;
  int32_t flags_ = 0;
  int32_t event_start_ = 0;
  uint32_t name_length_ = 0;
  uint32_t done_matched_ = 0;
  bool events_ = false;
  bool event_begun_ = false;
  bool skip_lf_ = false;
  bool strip_cut_ = false;  // the chunk ended behind the CR of a usage event
  char name_[5];
};

}  // namespace sluice
