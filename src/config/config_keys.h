// The table of configuration keys, used for reading, checking, printing, help and the rules of resuming.
#pragma once

#include <toml++/toml.h>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "src/config/config.h"

namespace lora_dist {

/// True if a resumed run may have another value than the run that wrote the checkpoint.
enum class OnResume : std::uint8_t { refuse, allow, bits_may_differ };

/// How --set reads text: as a TOML value, always as a string, or as a list.
enum class Takes : std::uint8_t { value, string, list };

struct Key {
  std::string_view name;  // section.key
  OnResume on_resume;
  Takes takes;
  std::string meaning;  // one line for --help
  /// Stores the value. Returns the problem as the rest of a sentence ("must be at least 1 (got 0)"), or an empty string; with a
  /// problem it stores nothing.
  std::function<std::string(Config& config, const toml::node& value)> read;
  std::function<std::string(const Config& config)> text;  // the current value as TOML text
};

/// In the order of the documentation; keys of a section are adjacent.
const std::vector<Key>& config_keys();

/// nullptr if there is none.
const Key* find_key(std::string_view name);

/// The known key that `name` probably means: a key of that name in another section, else the closest spelling.
std::string_view nearest_key(std::string_view name);

/// "adapter" of "adapter.r"; the whole name without a dot.
std::string_view section_of(std::string_view name);
/// "r" of "adapter.r".
std::string_view bare_name_of(std::string_view name);

}  // namespace lora_dist
