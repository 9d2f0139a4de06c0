// The factors A and B of LoRA and of the methods that build on it.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "src/adapter/method.h"

namespace lora_dist {

/// A [r, in] and B [out, r], in this order.
std::vector<Parameter> lora_parameters(const LinearTraits& linear);
inline const Parameter& lora_a(const AdaptedLinear& linear) { return linear.parameters[0]; }
inline const Parameter& lora_b(const AdaptedLinear& linear) { return linear.parameters[1]; }

/// The hooks for z = dropout(x) A^T, [tokens, r], which forward saves in SavedByAdapter::rows: the width of z, and the
/// computation of z alone.
std::int64_t lora_saved_width(const AdaptedLinear& linear);
void save_lora_z(const LinearLayer& layer, const LinearContext& context, ConstTensorView x, const SavedByAdapter& saved);

/// dx = mask * (dz A), or dx += mask * (dz A): the gradient of the input of z = dropout(x) A^T. dz: [tokens, r]; a: [r, in].
void thin_input_gradient(const LinearLayer& layer, const LinearContext& context, ConstTensorView dz, ConstTensorView a,
                         TensorView dx, bool add);

/// A uniform in +-1/sqrt(in) (PEFT's kaiming_uniform with a = sqrt 5), or normal with standard deviation 1/r; B zero. A value
/// depends on (seed, layer, linear, element) alone.
void initialize_lora(const AdaptedLinear& linear, const InitialKey& key, std::span<float> params);
/// Normal values with that standard deviation; `stream` separates them from the values of other parameters of the layer.
void fill_normal(const Parameter& parameter, const InitialKey& key, std::uint32_t stream, double deviation,
                 std::span<float> params);

}  // namespace lora_dist
