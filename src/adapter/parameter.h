// The trained tensors of one adapted linear layer, and where each lies in the flat buffer.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// The axis of a linear layer along which TP ranks cut a parameter, where they cut the layer along it.
enum class TpCut : std::uint8_t { none, outputs, inputs };

/// A trained tensor: one or two dimensions. Cut by outputs, its rows are the layer's outputs; cut by inputs, its columns are the
/// layer's inputs.
struct Parameter {
  std::string_view name;  // as PEFT calls it: "lora_A"
  Shape shape;
  TpCut cut = TpCut::none;
  std::int64_t offset = 0;  // first element in the flat buffer

  std::int64_t cols() const { return shape.rank == 1 ? 1 : shape[1]; }
};

/// One adapted linear layer, as a method's hooks read it.
struct AdaptedLinear {
  std::int64_t r = 0;
  float scale = 0.0F;  // alpha / r, or alpha / sqrt(r) for rsLoRA
  std::int64_t in = 0;
  std::int64_t out = 0;
  std::int64_t first_in = 0;          // the whole layer's input feature that comes first, where TP ranks cut it
  std::vector<Parameter> parameters;  // as the method lists them
};

}  // namespace lora_dist
