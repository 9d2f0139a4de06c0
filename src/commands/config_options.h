// --cfg, --set and --print-config, and the resulting configuration.
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

/// For a command that needs a configuration. Throws Error(usage, collective).
void check_config_is_given(std::string_view command, const ConfigOptions& options);

/// The folder of the running executable.
std::filesystem::path program_path();

/// Finds and reads --cfg and applies --set; with `complete`, model.path and data.train are required, and patterns in data.train
/// and data.validation are replaced by the files that rank 0 finds. Collective: a failure on any rank throws the same
/// Error(collective) on all: usage for the file, --set and keys, data for a pattern without files.
/// `any_method`: as load_config's.
Config read_config(Communicator& world, const ConfigOptions& options, bool complete = true, bool any_method = false);

/// Implements --print-config: prints the resolved configuration to standard output. Returns the exit code.
int print_resolved_config(Communicator& world, const ConfigOptions& options);

}  // namespace lora_dist
