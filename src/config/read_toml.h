// TOML text -> toml::table, from files that may hold anything.
#pragma once

#include <toml++/toml.h>
#include <filesystem>
#include <string>
#include <string_view>

namespace lora_dist {

/// Throws Error(usage) with "file:line: " in front when the file is missing, no regular text, longer than 1 MiB or not TOML.
toml::table read_toml_file(const std::filesystem::path& file);

/// The value that `text` is in TOML, as the only member of the result; an empty table where it is not a TOML value.
toml::table parse_toml_value(std::string_view text);

}  // namespace lora_dist
