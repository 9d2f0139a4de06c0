// Reads the keys of one adapter_config.json; errors name file and key.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "src/adapter/path_pattern.h"
#include "src/core/by_path.h"

namespace lora_dist {

class ConfigReader {
 public:
  /// The document and the file's name, which both must outlive the reader; the order of members decides between patterns.
  ConfigReader(const nlohmann::ordered_json& in_order, const std::filesystem::path& file)
      : document_(in_order), in_order_(in_order), file_(file) {}

  const nlohmann::json& document() const { return document_; }

  /// Throws Error(model) "<file>: <what>".
  [[noreturn]] void refuse(const std::string& what) const;

  /// The value; nullptr if the key is missing or null.
  const nlohmann::json* find(const char* key) const;

  // The value of a key, `otherwise` if it is missing. Throw Error(model) for a value of another kind.
  std::string text(const char* key, const std::string& otherwise) const;
  bool flag(const char* key, bool otherwise) const;
  std::int64_t rank(const char* key, std::int64_t otherwise) const;  // from 1
  double finite(const char* key, double otherwise) const;
  double dropout(const char* key) const;  // 0 if missing; at least 0 and below 1

  /// The same for a value found otherwise; `key` is for the message.
  std::int64_t rank_in(const std::string& key, const nlohmann::json& value) const;
  double finite_in(const std::string& key, const nlohmann::json& value) const;

  /// A list of names, or one text.
  void modules(const char* key, std::vector<std::string>& names, std::string& pattern) const;

  /// The members of an object of patterns, in file order; `value_of` reads one value.
  template <class Read>
  auto pattern(const char* key, const Read& value_of) const {
    PathPattern<decltype(value_of(std::string(), nlohmann::json()))> pattern;
    const nlohmann::json* value = find(key);
    if (value != nullptr && !value->is_object()) {
      refuse(fmt::format("{} must be an object", key));
    }
    if (value != nullptr) {
      for (const auto& [name, ignored] : in_order_[key].items()) {
        if (const std::string problem = problem_of_pattern(name); !problem.empty()) {
          refuse(fmt::format("{} has the key \"{}\", which {}", key, name.substr(0, 80), problem));
        }
        pattern.emplace_back(name, value_of(fmt::format("{}.{}", key, name), (*value)[name]));
      }
    }
    return pattern;
  }

 private:
  nlohmann::json document_;
  const nlohmann::ordered_json& in_order_;
  const std::filesystem::path& file_;
};

/// PEFT writes whole numbers as integers, and some readers insist on them.
nlohmann::json number_as_peft(double value);
/// Names in alphabetical order.
nlohmann::json sorted_names(std::vector<std::string> names);
/// An object of patterns in their own order: their first match decides.
template <class Value, class Text>
nlohmann::ordered_json pattern_object(const PathPattern<Value>& pattern, Text text) {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (const auto& [key, value] : pattern) {
    object[key] = text(value);
  }
  return object;
}

}  // namespace lora_dist
