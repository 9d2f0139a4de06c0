// TOML file and --set settings -> one validated Config.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "src/config/config.h"

namespace lora_dist {

/// Defaults, then `file` (empty: none), then each of `sets` ("section.key=value", the value read as TOML and as a string where
/// that fails); "~" at the start of a path is the home folder. Throws Error(usage) with "file:line: " or "--set text: " in front:
/// TOML errors, unknown keys (with the nearest known one), wrong types, values out of range, values that contradict each other,
/// values for something that is not built yet.
Config load_config(const std::filesystem::path& file, const std::vector<std::string>& sets);

/// Throws Error(usage) unless model.path is given.
void check_model_is_named(const Config& config);
/// Throws Error(usage) unless model.path and data.train, which have no default, are given.
void check_required_keys(const Config& config);

/// The configs folder of the installation and of the build tree that `program` (the path of the executable) belongs to; one of
/// them is there.
std::vector<std::filesystem::path> config_folders(const std::filesystem::path& program);

/// Where `--cfg name` is: as given, else in config_folders(program). Throws Error(usage) naming the places that were looked at.
std::filesystem::path find_config_file(const std::string& name, const std::filesystem::path& program);

}  // namespace lora_dist
