// Shapes, initial values and first product of LoRA's factors.
#include "src/adapter/lora_factors.h"

#include <cmath>

#include "kernels/common/philox.h"

namespace lora_dist {

std::vector<Parameter> lora_parameters(std::int64_t in, std::int64_t out, std::int64_t r) {
  return {{"lora_A", {r, in}, TpCut::inputs}, {"lora_B", {out, r}, TpCut::outputs}};
}

std::int64_t lora_saved_width(const AdaptedLinear& linear) { return linear.r; }

void save_lora_z(const LinearLayer& layer, const LinearContext& context, ConstTensorView x, TensorView z) {
  matmul({.a = dropped_input(layer, context, x), .b = values_of(context, lora_a(*layer.adapted)), .op_b = Transpose::yes, .c = z},
         context.stream);
}

void initialize_lora(const AdaptedLinear& linear, const InitialKey& key, std::span<float> params) {
  constexpr std::uint32_t kStreamOfInitialWeights = 0x494E4954U;  // separates these counters from dropout's
  const PhiloxKey philox = {static_cast<std::uint32_t>(key.seed), static_cast<std::uint32_t>(key.seed >> 32)};
  const float bound = 1.0F / std::sqrt(static_cast<float>(linear.in));
  const Parameter& a = lora_a(linear);
  for (std::int64_t i = 0; i < a.shape.count(); ++i) {
    const PhiloxCounter bits = philox4x32({static_cast<std::uint32_t>(i / 4), static_cast<std::uint32_t>(i >> 34),
                                           key.layer * 16 + key.linear, kStreamOfInitialWeights},
                                          philox);
    const float uniform = uniform_float(bits[static_cast<std::size_t>(i % 4)]);
    params[static_cast<std::size_t>(a.offset + i)] = (2.0F * uniform - 1.0F) * bound;
  }
  const Parameter& b = lora_b(linear);
  for (std::int64_t i = 0; i < b.shape.count(); ++i) {
    params[static_cast<std::size_t>(b.offset + i)] = 0.0F;
  }
}

}  // namespace lora_dist
