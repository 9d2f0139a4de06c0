// Shapes, initial values and first product of LoRA's factors.
#include "src/adapter/lora_factors.h"

#include <algorithm>
#include <cmath>

#include "src/adapter/normal_values.h"
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

/// Calls make(element, its four random words, which of them) for each element.
template <class Make>
void for_each_element(const Parameter& parameter, const InitialKey& key, std::uint32_t stream, Make make) {
  const PhiloxKey philox = {static_cast<std::uint32_t>(key.seed), static_cast<std::uint32_t>(key.seed >> 32)};
  for (std::int64_t i = 0; i < parameter.shape.count(); ++i) {
    const PhiloxCounter bits = philox4x32(
        {static_cast<std::uint32_t>(i / 4), static_cast<std::uint32_t>(i >> 34), key.layer * 16 + key.linear, stream}, philox);
    make(static_cast<std::size_t>(parameter.offset + i), bits, static_cast<std::size_t>(i % 4));
  }
}

/// The i-th of four values of A from four random words.
float initial_value(const AdaptedLinear& linear, LoraInit init, const PhiloxCounter& bits, std::size_t i) {
  if (init == LoraInit::uniform) {
    const float bound = 1.0F / std::sqrt(static_cast<float>(linear.in));
    return (2.0F * uniform_float(bits[i]) - 1.0F) * bound;
  }
  return static_cast<float>(normal_value(bits, i) / static_cast<double>(linear.r));
}

}  // namespace

void initialize_lora(const AdaptedLinear& linear, const InitialKey& key, std::span<float> params) {
  constexpr std::uint32_t kStreamOfInitialWeights = 0x494E4954U;  // separates these counters from dropout's
  for_each_element(lora_a(linear), key, kStreamOfInitialWeights, [&](std::size_t at, const PhiloxCounter& bits, std::size_t i) {
    params[at] = initial_value(linear, key.init, bits, i);
  });
  const Parameter& b = lora_b(linear);
  std::fill_n(params.begin() + b.offset, b.shape.count(), 0.0F);
}

void fill_normal(const Parameter& parameter, const InitialKey& key, std::uint32_t stream, double deviation,
                 std::span<float> params) {
  for_each_element(parameter, key, stream, [&](std::size_t at, const PhiloxCounter& bits, std::size_t i) {
    params[at] = static_cast<float>(deviation * normal_value(bits, i));
  });
}

}  // namespace lora_dist
