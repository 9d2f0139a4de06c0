// --quantization, --block-size and --double-quant: the base format.
#pragma once

#include <optional>

#include "src/base/base_format.h"

namespace lora_dist {

/// Empty members: not given.
struct BaseOptions {
  std::optional<Quantization> quantization;
  std::optional<int> block_size;     // of nf4 and fp4: weights per scale
  std::optional<bool> double_quant;  // of nf4 and fp4
};

/// Throws Error(usage, collective).
void check_base_options(const BaseOptions& options);

/// The base format: as given, else `otherwise` with blocks of 64 and double quantization.
WantedFormat wanted_format(const BaseOptions& options, Quantization otherwise);

}  // namespace lora_dist
