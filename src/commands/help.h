// What --help and --version print.
#pragma once

#include <string>

#include "src/commands/command_line.h"

namespace lora_dist {

/// Of the command, or of the whole program where none was given.
std::string help_text(const CommandLine& line);

/// The program and what it is built on, one per line.
std::string version_text();

}  // namespace lora_dist
