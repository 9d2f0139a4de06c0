// The tensors of an adapter, with their offsets in a flat buffer of trained or of frozen ones.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// The axis of a linear layer that shards a parameter, if TP ranks cut the layer along that axis; kv_heads: the heads of all keys
/// and values of a row.
enum class TpCut : std::uint8_t { none, outputs, inputs, kv_heads };

/// A trained tensor of one or two dimensions. If cut by outputs, its rows are the layer's outputs; if cut by inputs, its columns
/// are the layer's inputs.
struct Parameter {
  std::string_view name;  // as PEFT calls it: "lora_A"
  Shape shape;
  TpCut cut = TpCut::none;
  std::int64_t offset = 0;  // first element in the flat buffer
  bool from_base = false;   // its initial value comes from the layer's weight

  std::int64_t cols() const { return shape.rank == 1 ? 1 : shape[1]; }
};

/// The parameter's part of a flat buffer of gradients.
inline TensorView gradient_in(std::span<float> grads, const Parameter& parameter) {
  return view(grads.data() + parameter.offset, parameter.shape);
}

/// The properties of a linear layer [out, in] that determine its parameters.
struct LinearTraits {
  std::int64_t in = 0;
  std::int64_t out = 0;
  std::int64_t r = 0;
  bool feedforward = false;  // IA3 scales the layer's input, not its output
};

/// One adapted linear layer, as a method's hooks read it.
struct AdaptedLinear {
  std::int64_t r = 0;
  float scale = 0.0F;  // AdapterMethod::scale
  std::int64_t in = 0;
  std::int64_t out = 0;
  std::int64_t first_in = 0;           // the shard's first input feature, if TP ranks cut the inputs
  std::vector<Parameter> parameters;   // in the method's order
  bool feedforward = false;            // as in LinearTraits
  std::vector<Parameter> frozen = {};  // not trained: their offsets are in the flat buffer of frozen tensors
  bool residual = false;               // the weight counts without the update of the initial parameters (PiSSA, OLoRA)
};

}  // namespace lora_dist
