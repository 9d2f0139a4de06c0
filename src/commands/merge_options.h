// The options of merge.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "src/commands/base_options.h"
#include "src/commands/command.h"

namespace lora_dist {

struct MergeOptions {
  std::string model;
  std::vector<std::string> adapters;  // --adapter DIR or DIR=WEIGHT, in order
  std::string output;
  std::optional<std::string> onto;  // dequantized | full; empty: as the adapters were trained
  BaseOptions base;                 // how it was held in training
  std::string text;                 // lines to compare both ways on
};

void describe_merge_options(CommandUse& use, MergeOptions& options);
/// Throws Error(usage, every_rank).
void check_merge_options(const MergeOptions& options);

}  // namespace lora_dist
