// Kinds and ranges of values.
#include "src/adapter/config_reader.h"

#include <algorithm>
#include <cmath>

#include "src/core/error.h"

namespace lora_dist {

using nlohmann::json;

void ConfigReader::refuse(const std::string& what) const { throw Error(ExitCode::model, file_.string() + ": " + what); }

const json* ConfigReader::find(const char* key) const {
  const auto at = document_.find(key);
  return at == document_.end() || at->is_null() ? nullptr : &*at;
}

std::string ConfigReader::text(const char* key, const std::string& otherwise) const {
  const json* value = find(key);
  if (value != nullptr && !value->is_string()) {
    refuse(fmt::format("{} must be text", key));
  }
  return value == nullptr ? otherwise : value->get<std::string>();
}

bool ConfigReader::flag(const char* key, bool otherwise) const {
  const json* value = find(key);
  if (value != nullptr && !value->is_boolean()) {
    refuse(fmt::format("{} must be true or false", key));
  }
  return value == nullptr ? otherwise : value->get<bool>();
}

std::int64_t ConfigReader::rank_in(const std::string& key, const json& value) const {
  constexpr std::int64_t kMaxRank = 1 << 20;
  if (!value.is_number_integer() || value < 1 || value > kMaxRank) {
    refuse(fmt::format("{} must be a whole number from 1 to {} (got {})", key, kMaxRank, value.dump().substr(0, 40)));
  }
  return value.get<std::int64_t>();
}

std::int64_t ConfigReader::rank(const char* key, std::int64_t otherwise) const {
  const json* value = find(key);
  return value == nullptr ? otherwise : rank_in(key, *value);
}

double ConfigReader::finite_in(const std::string& key, const json& value) const {
  if (!value.is_number() || !std::isfinite(value.get<double>())) {
    refuse(fmt::format("{} must be a number (got {})", key, value.dump().substr(0, 40)));
  }
  return value.get<double>();
}

double ConfigReader::finite(const char* key, double otherwise) const {
  const json* value = find(key);
  return value == nullptr ? otherwise : finite_in(key, *value);
}

double ConfigReader::dropout(const char* key) const {
  const double value = finite(key, 0.0);
  if (value < 0 || value >= 1) {
    refuse(fmt::format("{} must be at least 0 and below 1 (got {})", key, value));
  }
  return value;
}

void ConfigReader::modules(const char* key, std::vector<std::string>& names, std::string& pattern) const {
  const json* modules = find(key);
  if (modules == nullptr) {
    return;
  }
  if (modules->is_string()) {
    pattern = modules->get<std::string>();
    return;
  }
  if (!modules->is_array() || !std::ranges::all_of(*modules, [](const json& t) { return t.is_string(); })) {
    refuse(fmt::format("{} must be a list of names, or one text", key));
  }
  names = modules->get<std::vector<std::string>>();
  std::ranges::sort(names);
}

json number_as_peft(double value) {
  const bool whole = value == std::floor(value) && std::abs(value) < 1e15;
  return whole ? json(static_cast<std::int64_t>(value)) : json(value);
}

json sorted_names(std::vector<std::string> names) {
  std::ranges::sort(names);
  return names;
}

}  // namespace lora_dist
