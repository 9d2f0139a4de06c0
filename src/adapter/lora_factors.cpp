// Shapes, initial values and first product of LoRA's factors.
#include "src/adapter/lora_factors.h"

#include <cmath>
#include <numbers>

#include "kernels/common/philox.h"
#include "src/adapter/tensor_roles.h"

namespace lora_dist {

std::vector<Parameter> lora_parameters(const LinearTraits& linear) {
  return {{kLoraA, {linear.r, linear.in}, TpCut::inputs}, {kLoraB, {linear.out, linear.r}, TpCut::outputs}};
}

std::int64_t lora_saved_width(const AdaptedLinear& linear) { return linear.r; }

void save_lora_z(const LinearLayer& layer, const LinearContext& context, ConstTensorView x, const SavedByAdapter& saved) {
  matmul({.a = dropped_input(layer, context, x),
          .b = values_of(context, lora_a(*layer.adapted)),
          .op_b = Transpose::yes,
          .c = saved.rows},
         context.stream);
}

void thin_input_gradient(const LinearLayer& layer, const LinearContext& context, ConstTensorView dz, ConstTensorView a,
                         TensorView dx, bool add) {
  if (context.dropout.p == 0.0F) {
    matmul({.a = dz, .b = a, .added = {.beta = add ? 1.0F : 0.0F}, .c = dx}, context.stream);
    return;
  }
  const TensorView unmasked = add ? front_of(context.scratch.dropped, dx.shape) : dx;  // dropout(x) is recomputed for dA
  matmul({.a = dz, .b = a, .c = unmasked}, context.stream);
  dropped_input_backward(layer, context, unmasked, dx, add);
}

namespace {

/// The i-th of four values from four random words. Normal ones come in pairs (Box and Muller, 1958).
float initial_value(const AdaptedLinear& linear, LoraInit init, const PhiloxCounter& bits, std::size_t i) {
  if (init == LoraInit::uniform) {
    const float bound = 1.0F / std::sqrt(static_cast<float>(linear.in));
    return (2.0F * uniform_float(bits[i]) - 1.0F) * bound;
  }
  const double radius = std::sqrt(-2.0 * std::log1p(-static_cast<double>(uniform_float(bits[i & ~std::size_t{1}]))));
  const double angle = 2.0 * std::numbers::pi * static_cast<double>(uniform_float(bits[i | 1]));
  const double normal = radius * (i % 2 == 0 ? std::cos(angle) : std::sin(angle));
  return static_cast<float>(normal / static_cast<double>(linear.r));
}

}  // namespace

void initialize_lora(const AdaptedLinear& linear, const InitialKey& key, std::span<float> params) {
  constexpr std::uint32_t kStreamOfInitialWeights = 0x494E4954U;  // separates these counters from dropout's
  const PhiloxKey philox = {static_cast<std::uint32_t>(key.seed), static_cast<std::uint32_t>(key.seed >> 32)};
  const Parameter& a = lora_a(linear);
  for (std::int64_t i = 0; i < a.shape.count(); ++i) {
    const PhiloxCounter bits = philox4x32({static_cast<std::uint32_t>(i / 4), static_cast<std::uint32_t>(i >> 34),
                                           key.layer * 16 + key.linear, kStreamOfInitialWeights},
                                          philox);
    params[static_cast<std::size_t>(a.offset + i)] = initial_value(linear, key.init, bits, static_cast<std::size_t>(i % 4));
  }
  const Parameter& b = lora_b(linear);
  for (std::int64_t i = 0; i < b.shape.count(); ++i) {
    params[static_cast<std::size_t>(b.offset + i)] = 0.0F;
  }
}

}  // namespace lora_dist
