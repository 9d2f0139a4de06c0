// Config -> text.
#include "src/config/print_config.h"

#include <fmt/format.h>

#include "src/config/config_keys.h"

namespace lora_dist {
namespace {

std::string origin_of(const Config& config, const Key& key) {
  const auto found = config.origins.find(std::string(key.name));
  return found == config.origins.end() ? "default" : found->second;
}

/// A required key without a value has no text that reads back.
bool is_missing(const Config& config, const Key& key) {
  return (key.name == "model.path" && config.model.path.empty()) || (key.name == "data.train" && config.data.train.empty()) ||
         (key.name == "output.dir" && config.output.dir.empty());
}

/// Calls line(key) for each key, with a [section] line before each section's first key.
template <class Line>
std::string by_section(Line line) {
  std::string text;
  std::string_view section;
  for (const Key& key : config_keys()) {
    if (section != section_of(key.name)) {
      section = section_of(key.name);
      text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", section);
    }
    text += line(key);
  }
  return text;
}

}  // namespace

std::string print_config(const Config& config) {
  return by_section([&](const Key& key) {
    const std::string assignment = fmt::format("{} = {}", bare_name_of(key.name), key.text(config));
    if (is_missing(config, key)) {
      return fmt::format("# {:<38}  # not set\n", assignment);
    }
    return fmt::format("{:<40}  # {}\n", assignment, origin_of(config, key));
  });
}

std::map<std::string, std::string> to_flat_settings(const Config& config) {
  std::map<std::string, std::string> settings;
  for (const Key& key : config_keys()) {
    settings[std::string(key.name)] = key.text(config);
  }
  return settings;
}

std::string describe_keys() {
  Config defaults;
  defaults.output.dir = "runs/NAME";
  return by_section([&](const Key& key) {
    const std::string assignment = fmt::format("  {} = {}", bare_name_of(key.name), key.text(defaults));
    return fmt::format("{:<42}  {}\n", assignment, key.meaning);
  });
}

}  // namespace lora_dist
