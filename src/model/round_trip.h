// A whole weight as a quantized run computes with it: quantized, and back.
#pragma once

#include <span>

#include "kernels/common/stream.h"
#include "src/model/frozen_shard.h"

namespace lora_dist {

/// values: f32 [out * in], a weight in the order in which it is quantized; replaced by what a base held in `format` stands for.
/// The same values, to the bit, that training on that base used on the CPU. Nothing happens for Quantization::none.
void quantize_and_back(std::span<float> values, const BaseFormat& format, const Stream& stream);

}  // namespace lora_dist
