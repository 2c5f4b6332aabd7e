// What conditions of routes and capabilities of targets ask of a body, beyond what every request needs: the walk (json-walk.h) says what
// it meets. Only for configurations that ask.
#pragma once
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "scan-fields.h"

namespace sluice {

// Names of fields of the outermost object. Those of the configuration in force, for scans that begin; a scan that comes in pieces
// keeps its own.
using Fields = std::vector<std::string>;
extern thread_local std::shared_ptr<const Fields> look_for;

namespace {

// A string without its quotes and escapes, if it is ASCII and fits.
template <size_t CAPACITY>
struct Plain {
  Plain(const uint8_t* start, const uint8_t* end) {
    text = reinterpret_cast<const char*>(start);
    length = static_cast<size_t>(end - start);
    if (std::memchr(start, '\\', length) == nullptr) return;
    length = unescape_ascii(start, end, unescaped, sizeof unescaped);
    text = unescaped;
  }

  bool is(const char* name) const { return equals(text, length, name); }

  const char* text;
  size_t length;
  char unescaped[CAPACITY];
};

// In place of a Look where nobody asks.
struct NoLook {
  NoLook(int32_t*, const Fields*) {}
  void at_string(const uint8_t*, size_t, size_t, size_t, size_t, size_t) {}
};

class Look {
 public:
  Look(int32_t* out, const Fields* fields) : out_(out), fields_(fields) {
    out_[FEATURES] = 0;
    for (int i = FOUND; i < OUT_LENGTH; i++) out_[i] = -1;
  }

  // A key of the outermost object. True: its value has to be looked at. Of a field that is repeated, the last one counts.
  bool at_key(const uint8_t* start, const uint8_t* end) {
    const Plain<64> key(start, end);
    member_ = member_named(key);
    found_ = -1;
    for (size_t i = 0; i < fields_->size(); i++) {
      const std::string& name = (*fields_)[i];
      if (name.size() == key.length && std::memcmp(name.data(), key.text, key.length) == 0) found_ = FOUND + 2 * static_cast<int>(i);
    }
    return found_ >= 0 || member_ == TOOL_LIST || member_ == INPUT || member_ == PROMPT;
  }

  // Its value begins at `at` with `first`. An empty list of tools is none.
  void at_value(uint8_t first, int32_t at, bool is_filled_array) {
    if (member_ == TOOL_LIST && is_filled_array) out_[FEATURES] |= TOOLS;
    if ((member_ == INPUT || member_ == PROMPT) && first == '[') out_[FEATURES] |= LISTED;
    if (found_ < 0) return;
    out_[found_] = at;
    out_[found_ + 1] = -1;
    if (first == '{' || first == '[') found_ = -1;
  }

  void behind_value(int32_t end) {
    if (found_ >= 0) out_[found_ + 1] = end;
    found_ = -1;
  }

  // A string with its quotes, [start, end), behind its key: it may say what an image is, or what the answer is to be.
  void at_string(const uint8_t* body, size_t start, size_t end, size_t key_start, size_t key_end, size_t depth) {
    // Few begin like that.
    const uint8_t first = body[start + 1];
    if (first != 'i' && first != 'j' && first != '\\') return;
    if (member_ == OTHER || end - start - 2 > SPELLED_MAX) return;
    if (!Plain<16>(body + key_start, body + key_end).is("type")) return;
    const Plain<16> type(body + start + 1, body + end - 1);
    if ((member_ == MESSAGES || member_ == INPUT) && (type.is("image_url") || type.is("input_image"))) out_[FEATURES] |= IMAGES;
    const bool of_format = (member_ == FORMAT && depth == 2) || (member_ == TEXT && depth == 3);
    if (of_format && type.is("json_object")) out_[FEATURES] |= JSON_OBJECT;
    if (of_format && type.is("json_schema")) out_[FEATURES] |= JSON_SCHEMA;
  }

 private:
  // A member of the outermost object in which something counts.
  enum Member : uint8_t { OTHER, MESSAGES, INPUT, PROMPT, FORMAT, TEXT, TOOL_LIST };

  // The longest of those names, with every character an escape.
  static constexpr size_t SPELLED_MAX = 6 * 11;

  static Member member_named(const Plain<64>& key) {
    switch (key.length) {
      case 4: return key.is("text") ? TEXT : OTHER;
      case 5: return key.is("input") ? INPUT : key.is("tools") ? TOOL_LIST : OTHER;
      case 6: return key.is("prompt") ? PROMPT : OTHER;
      case 8: return key.is("messages") ? MESSAGES : OTHER;
      case 9: return key.is("functions") ? TOOL_LIST : OTHER;
      case 15: return key.is("response_format") ? FORMAT : OTHER;
      default: return OTHER;
    }
  }

  int32_t* const out_;
  const Fields* const fields_;
  Member member_ = OTHER;
  // Where in `out_` the value goes that has begun; -1: nowhere.
  int found_ = -1;
};

}  // namespace
}  // namespace sluice
