// --cfg, --set and --print-config, and the configuration that they make.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "src/commands/command.h"
#include "src/config/config.h"

namespace lora_dist {

struct ConfigOptions {
  std::string cfg;                // --cfg FILE, as given
  std::vector<std::string> sets;  // --set section.key=value, in order
  bool print_config = false;

  bool are_given() const { return !cfg.empty() || !sets.empty(); }
};

void describe_config_options(CommandUse& use, ConfigOptions& options);

/// Of a command that cannot do without a configuration. Throws Error(usage, collective).
void check_config_is_given(std::string_view command, const ConfigOptions& options);

/// Of the running executable.
std::filesystem::path program_path();

/// Finds and reads --cfg and applies --set; with `complete`, model.path and data.train must be there, and patterns in data.train
/// and data.validation become the files that rank 0 finds. Collective: a failure on any rank is an Error(collective) on all,
/// usage for what the file, --set and the keys say, data for a pattern without files.
Config read_config(Communicator& world, const ConfigOptions& options, bool complete = true);

/// What --print-config asks for in place of the command: the resolved configuration on standard output. The exit code.
int print_resolved_config(Communicator& world, const ConfigOptions& options);

}  // namespace lora_dist
