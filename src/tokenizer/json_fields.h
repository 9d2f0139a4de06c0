// Fields of an untrusted JSON object, with errors that name file and field.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "src/core/error.h"

namespace lora_dist {

/// An object's position, for messages: "/models/x/tokenizer.json: decoder".
struct JsonLocation {
  std::filesystem::path file;
  std::string path;

  JsonLocation at(const std::string& key) const { return {file, path.empty() ? key : path + "." + key}; }
};

[[noreturn]] inline void fail(const JsonLocation& location, const std::string& what) {
  throw Error(ExitCode::model, location.file.string() + ": " + (location.path.empty() ? "" : location.path + " ") + what);
}

// Json: nlohmann::json, or nlohmann::ordered_json if the order of members matters.

/// The member, or null if absent. `value` must be an object.
template <class Json>
const Json& member(const Json& object, const std::string& key, const JsonLocation& location) {
  static const Json kNull;
  if (!object.is_object()) {
    fail(location, "must be an object");
  }
  const auto found = object.find(key);
  return found == object.end() ? kNull : *found;
}

template <class Json>
std::string text_member(const Json& object, const std::string& key, const JsonLocation& location) {
  const Json& value = member(object, key, location);
  if (!value.is_string()) {
    fail(location.at(key), value.is_null() ? "is missing" : "must be a string");
  }
  return value.template get<std::string>();
}

template <class Json>
bool bool_member(const Json& object, const std::string& key, bool otherwise, const JsonLocation& location) {
  const Json& value = member(object, key, location);
  if (!value.is_null() && !value.is_boolean()) {
    fail(location.at(key), "must be true or false");
  }
  return value.is_null() ? otherwise : value.template get<bool>();
}

/// An integer in [0, limit).
template <class Json>
std::int64_t count_of(const Json& value, std::int64_t limit, const JsonLocation& location) {
  if (!value.is_number_integer() || value.template get<double>() < 0 ||
      value.template get<double>() >= static_cast<double>(limit)) {
    fail(location, "must be a whole number from 0 to " + std::to_string(limit - 1));
  }
  return value.template get<std::int64_t>();
}

}  // namespace lora_dist
