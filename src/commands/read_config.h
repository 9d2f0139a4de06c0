// The configuration of train, eval, data and plan, from the command line, on every rank.
#pragma once

#include <filesystem>

#include "src/comm/communicator.h"
#include "src/commands/command_line.h"
#include "src/config/config.h"

namespace lora_dist {

/// Of the running executable.
std::filesystem::path program_path();

/// Finds and reads --cfg and applies --set; with `complete`, model.path and data.train must be there, and patterns in data.train
/// and data.validation become the files that rank 0 finds. Collective: a failure on any rank is an Error(every_rank) on all,
/// usage for what the file, --set and the keys say, data for a pattern without files.
Config read_config(Communicator& world, const CommandLine& line, bool complete = true);

}  // namespace lora_dist
