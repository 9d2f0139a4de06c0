// The encoder of virtual tokens in a training step, computed by every rank from the same bits.
#pragma once

#include <span>

#include "kernels/common/stream.h"
#include "src/adapter/prompt_encoder.h"

namespace lora_dist {

/// Writes the encoder's output, the rows of virtual tokens, to the front of `params`, the flat buffer in the operators' memory.
void put_encoded_rows(const PromptEncoder& encoder, std::span<float> params, const Stream& stream);

/// The front of `grads` is the gradient of the rows; writes that of the encoder after it, and returns its norm.
double take_encoder_gradients(const PromptEncoder& encoder, std::span<const float> params, std::span<float> grads,
                              const Stream& stream);

}  // namespace lora_dist
