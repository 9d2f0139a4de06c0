// TOML text -> toml::table, from files with arbitrary content.
#pragma once

#include <toml++/toml.h>
#include <filesystem>
#include <string>
#include <string_view>

namespace lora_dist {

/// Throws Error(usage) starting with "file:line: " if the file is missing, not regular text, longer than 1 MiB or not TOML.
toml::table read_toml_file(const std::filesystem::path& file);

/// The TOML value of `text`, as the only member of the result; an empty table if it is not a TOML value.
toml::table parse_toml_value(std::string_view text);

}  // namespace lora_dist
