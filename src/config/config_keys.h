// The one table of configuration keys: reading, checking, printing, help and the rules of resuming all go through it.
#pragma once

#include <toml++/toml.h>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "src/config/config.h"

namespace lora_dist {

/// May a resumed run have another value than the run that wrote the checkpoint?
enum class OnResume : std::uint8_t { refuse, allow, bits_may_differ };

/// What --set makes of text: a TOML value, a string even where it could be another value, or a list.
enum class Takes : std::uint8_t { value, string, list };

struct Key {
  std::string_view name;  // section.key
  OnResume on_resume;
  Takes takes;
  std::string meaning;  // one line for --help
  /// Stores the value. Returns what is wrong with it as the rest of a sentence ("must be at least 1 (got 0)"), or an empty
  /// string; where something is wrong nothing is stored.
  std::function<std::string(Config& config, const toml::node& value)> read;
  std::function<std::string(const Config& config)> text;  // the present value as TOML text
};

/// In the order of the documentation; keys of one section are neighbours.
const std::vector<Key>& config_keys();

/// nullptr when there is none.
const Key* find_key(std::string_view name);

/// The known key that `name` was most likely meant to be: a key of that name in another section, else the closest spelling.
std::string_view nearest_key(std::string_view name);

/// "adapter" of "adapter.r"; the whole of a name without a dot.
std::string_view section_of(std::string_view name);
/// "r" of "adapter.r".
std::string_view bare_name_of(std::string_view name);

}  // namespace lora_dist
