// The options of each command, as Boost.Program_options describes and prints them.
#pragma once

#include <boost/program_options/options_description.hpp>
#include <string>

#include "src/commands/command_line.h"

namespace lora_dist {

/// Options of `command`, stored into `line` when parsed. --help and --version are among them; a positional argument is "PATH".
boost::program_options::options_description options_of(const std::string& command, CommandLine& line);

}  // namespace lora_dist
