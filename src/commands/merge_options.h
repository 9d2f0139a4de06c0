// The options of merge.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/commands/base_options.h"
#include "src/commands/command.h"
#include "src/core/words.h"

namespace lora_dist {

/// The weights to merge onto: dequantized ones of the quantized base, or the files'.
enum class Onto : std::uint8_t { dequantized, full };
inline constexpr Words<Onto, 2> kOnto = {{{"dequantized", Onto::dequantized}, {"full", Onto::full}}};

struct MergeOptions {
  std::string model;
  std::vector<std::string> adapters;  // --adapter DIR or DIR=WEIGHT, in order
  std::string output;
  std::optional<Onto> onto;  // nullopt: as in training
  BaseOptions base;          // the base format in training
  std::string text;          // a file of lines to compare both ways on
};

void describe_merge_options(CommandUse& use, MergeOptions& options);
/// Throws Error(usage, collective).
void check_merge_options(const MergeOptions& options);

}  // namespace lora_dist
