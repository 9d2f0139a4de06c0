// One value: from a TOML node into its member of a Config, and from there to TOML text.
#pragma once

#include <toml++/toml.h>
#include <string>

#include "src/config/config_keys.h"

namespace lora_dist {

/// Stores `node` in the key's member. Returns what is wrong with it as the rest of a sentence ("must be at least 1 (got 0)"), or
/// an empty string; then nothing is stored.
std::string set_value(Config& config, const Key& key, const toml::node& node);

/// The key's present value as TOML text.
std::string value_text(const Config& config, const Key& key);

/// `text` as a TOML string in quotes.
std::string quoted(const std::string& text);

}  // namespace lora_dist
