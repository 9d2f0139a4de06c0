// Checks that a file's weights are finite.
#pragma once

#include <cstddef>
#include <span>

#include "src/io/safetensors.h"

namespace lora_dist {

/// Throws Error(model) naming file and tensor when `bytes`, f32, f16 or bf16 elements of `tensor`, hold NaN or infinity.
void check_finite(const TensorInfo& tensor, std::span<const std::byte> bytes);

}  // namespace lora_dist
