// TOML file and --set settings -> one validated Config.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "src/config/config.h"

namespace lora_dist {

/// Defaults, then `file` (empty: none), then each of `sets` ("section.key=value", the value read as TOML, or else as a string);
/// expands "~" at the start of a path. Throws Error(usage) starting with "file:line: " or "--set text: ": TOML errors, unknown
/// keys (with the nearest known one), wrong types, values out of range, contradicting values, values of features that are not
/// built yet.
/// With `any_method`, options of adapter methods other than adapter.method are let pass, and contradictions are not looked for.
Config load_config(const std::filesystem::path& file, const std::vector<std::string>& sets, bool any_method = false);

/// Throws Error(usage) unless model.path is given.
void check_model_is_named(const Config& config);
/// Throws Error(usage) unless model.path and data.train are given, which have no default.
void check_required_keys(const Config& config);

/// The configs folders of the installation and of the build tree of `program` (the executable's path); one of them exists.
std::vector<std::filesystem::path> config_folders(const std::filesystem::path& program);

/// The path of `--cfg name`: as given, else in config_folders(program). Throws Error(usage) listing the searched places.
std::filesystem::path find_config_file(const std::string& name, const std::filesystem::path& program);

}  // namespace lora_dist
