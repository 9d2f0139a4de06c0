// The command line: the command and its use.
#pragma once

#include <boost/program_options/variables_map.hpp>
#include <string>
#include <vector>

#include "src/commands/command.h"

namespace lora_dist {

struct CommandLine {
  const Command* command = nullptr;
  bool command_given = false;  // false: the command is train
  bool help = false;
  bool version = false;
  boost::program_options::variables_map written;  // the given options, by name
  CommandUse use;                                 // ready to run, unless help or version is requested
};

/// Parses `arguments` (without the program's name). Throws Error(usage, collective) for an unknown command or option (naming a
/// similar one), a value out of range, a missing option.
CommandLine parse_command_line(const std::vector<std::string>& arguments);

/// The options of `use`, with those of every command: --help and --version.
boost::program_options::options_description options_of(const CommandUse& use);

}  // namespace lora_dist
