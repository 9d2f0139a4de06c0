// Config -> text: TOML for users, flat settings to compare two runs.
#pragma once

#include <map>
#include <string>

#include "src/config/config.h"

namespace lora_dist {

/// TOML with every key, each with its value's origin as a comment; load_config reads it back to the same values.
std::string print_config(const Config& config);

/// "adapter.r" -> "16": every key with its value as TOML text.
std::map<std::string, std::string> to_flat_settings(const Config& config);

/// Every key with its default and its meaning in one line, for --help.
std::string describe_keys();

}  // namespace lora_dist
