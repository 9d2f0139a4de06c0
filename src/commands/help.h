// The texts of --help and --version.
#pragma once

#include <string>

#include "src/commands/command_line.h"

namespace lora_dist {

/// The help of the command, or of the program without one.
std::string help_text(const CommandLine& line);

/// The versions of the program and its libraries, one per line.
std::string version_text();

}  // namespace lora_dist
