// Reading a JSON object strictly: every value has a type and bounds, every problem names the place, and a key that nobody
// reads is a problem too, because a misspelt option would silently measure something else.
#pragma once
#include <simdjson.h>

#include <set>
#include <string>
#include <string_view>

#include "fault.h"

namespace bench {

using Json = simdjson::dom::element;

class JsonObject {
 public:
  JsonObject(std::string where, Json value) : where_(std::move(where)) {
    if (value.get(object_) != simdjson::SUCCESS) fail(where_ + " must be an object");
  }

  std::string at(std::string_view key) const { return where_ + "." + std::string(key); }

  // False when it is absent or null.
  bool find(std::string_view key, Json* out) {
    read_.insert(std::string(key));
    return object_.at_key(key).get(*out) == simdjson::SUCCESS && !out->is_null();
  }

  Json need(std::string_view key) {
    Json value;
    if (!find(key, &value)) fail(at(key) + " is missing");
    return value;
  }

  std::string text(std::string_view key) {
    std::string_view value;
    if (need(key).get(value) != simdjson::SUCCESS) fail(at(key) + " must be a string");
    return std::string(value);
  }

  uint64_t whole(std::string_view key, uint64_t low, uint64_t high) {
    uint64_t value = 0;
    const bool is_whole = need(key).get(value) == simdjson::SUCCESS;
    if (!is_whole || value < low || value > high) fail_range(key, std::to_string(low), std::to_string(high), "a whole number");
    return value;
  }

  uint64_t whole_or(std::string_view key, uint64_t low, uint64_t high, uint64_t otherwise) {
    Json value;
    return find(key, &value) ? whole(key, low, high) : otherwise;
  }

  // Above 0 and up to `high`.
  double positive(std::string_view key, double high) {
    double value = 0;
    const bool is_number = need(key).get(value) == simdjson::SUCCESS;
    if (!is_number || !(value > 0) || value > high) fail(at(key) + " must be above 0 and at most " + std::to_string(high));
    return value;
  }

  // Call it when everything was read.
  void refuse_others() const {
    for (const auto field : object_) {
      if (read_.count(std::string(field.key)) == 0) fail(at(field.key) + " is not known");
    }
  }

 private:
  [[noreturn]] void fail_range(std::string_view key, const std::string& low, const std::string& high, const char* kind) const {
    fail(at(key) + " must be " + kind + " from " + low + " to " + high);
  }

  std::string where_;
  simdjson::dom::object object_;
  std::set<std::string> read_;
};

}  // namespace bench
