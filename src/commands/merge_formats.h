// The base format in training, and the weights to merge onto.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/commands/merge_options.h"
#include "src/convert/merge_weights.h"

namespace lora_dist {

struct MergeFormats {
  BaseFormat trained;  // the base format in training
  Onto onto = Onto::dequantized;
  std::vector<std::string> warnings;  // about assumptions, and contradictions of a record
};

/// The given format, else the adapters' record, else NF4; onto the files' weights if training used those. `stored`: the format of
/// a prequantized folder. Throws Error(usage) if the given format contradicts a record and --onto is not given, or if the
/// adapters' records differ.
MergeFormats choose_merge_formats(const MergeOptions& options, std::span<const WeightedAdapter> adapters,
                                  const std::optional<BaseFormat>& stored);

}  // namespace lora_dist
