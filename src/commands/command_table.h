// What commands there are; for the command line and for --help.
#pragma once

#include <string_view>
#include <vector>

namespace lora_dist {

struct Command {
  std::string_view name;
  std::string_view summary;   // one line
  std::string_view examples;  // command lines, one per line
};

/// In the order of the manual.
const std::vector<Command>& commands();

}  // namespace lora_dist
