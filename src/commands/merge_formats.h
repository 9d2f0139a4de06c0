// How the base was held while the adapters were trained, and so onto which weights they are merged.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/commands/merge_options.h"
#include "src/convert/merge_weights.h"

namespace lora_dist {

struct MergeFormats {
  BaseFormat trained;  // how the base was held in training
  Onto onto = Onto::dequantized;
  std::vector<std::string> warnings;  // what was assumed, or contradicts a record
};

/// As written, else as the adapters record it, else NF4; onto the files' own weights where training had those. `stored`: of a
/// model folder that is quantized already. Throws Error(usage) where what is written contradicts a record and --onto is not
/// written, and where the adapters' records differ.
MergeFormats choose_merge_formats(const MergeOptions& options, std::span<const WeightedAdapter> adapters,
                                  const std::optional<BaseFormat>& stored);

}  // namespace lora_dist
