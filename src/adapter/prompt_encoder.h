// The network that makes virtual tokens in training (reparametrisation): micro-batches use its output, the rows of virtual
// tokens, which alone reach PEFT's folders; AdamW trains its parameters, which lie after the rows in the flat buffer.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/common/stream.h"
#include "src/adapter/parameter.h"

namespace lora_dist {

/// As PEFT has them, each from a trained embedding [rows, input]:
enum class EncoderKind : std::uint8_t {
  mlp,         // P-tuning: three linear layers with ReLU between
  lstm,        // P-tuning: two bidirectional LSTM layers, then two linear ones with ReLU between
  projection,  // of a prefix: two linear layers with tanh between
};

struct EncoderShape {
  EncoderKind kind = EncoderKind::mlp;
  std::int64_t rows = 0;    // virtual tokens
  std::int64_t input = 0;   // of the embedding
  std::int64_t hidden = 0;  // of each LSTM direction, or of the layers between
  std::int64_t output = 0;  // of a row of virtual tokens
};

struct PromptEncoder {
  EncoderShape shape;
  std::vector<Parameter> parameters;  // under torch's names and in its order
  std::int64_t first = 0;             // elements [first, first + count) of the flat buffer
  std::int64_t count = 0;
};

/// Its parameters from `first` of the flat buffer on.
PromptEncoder make_prompt_encoder(const EncoderShape& shape, std::int64_t first);

/// torch's distributions: the embedding normal, everything else uniform in +-1 / sqrt(inputs), of an LSTM 1 / sqrt(hidden). A
/// value depends on (seed, parameter, element) alone.
void initialize_encoder(const PromptEncoder& encoder, std::uint64_t seed, std::span<float> params);

/// The rows of virtual tokens [rows, output] from the whole flat buffer, on the host. `stream`: of the CPU.
std::vector<float> encode(const PromptEncoder& encoder, std::span<const float> params, const Stream& stream);
/// From the gradient of the rows, drows [rows, output], to the gradients of the encoder: writes its part of `grads`, the whole
/// flat buffer.
void encode_backward(const PromptEncoder& encoder, std::span<const float> params, std::span<const float> drows,
                     std::span<float> grads, const Stream& stream);

}  // namespace lora_dist
