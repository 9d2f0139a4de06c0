// The names of tensors in adapter_model.safetensors.
#pragma once

#include <string>
#include <string_view>

#include "src/adapter/method.h"
#include "src/io/safetensors.h"

namespace lora_dist {

inline constexpr std::string_view kPeftPrefix = "base_model.model.";
inline constexpr std::string_view kPeftSharedPrefix = "base_model.";
inline constexpr std::string_view kPeftSuffix = ".weight";

/// The method's tensor of that role; null: it has none.
const ModuleTensor* tensor_kind(const AdapterMethod& method, std::string_view role);
/// The same, of another method if this one has none.
const ModuleTensor* any_tensor_kind(const AdapterMethod& method, std::string_view role);

/// "lm_head" of "base_model.model.lm_head.weight" or "base_model.model.lm_head.base_layer.weight"; empty for other tensors.
std::string table_name(std::string name);
/// "vera_A" of "base_model.vera_A"; empty for other tensors.
std::string shared_name(const AdapterMethod& method, const std::string& name);
/// "base_model.model.<path>.lora_A.weight" -> "<path>.lora_A"; so with those that PEFT writes without ".weight". Throws
/// Error(model) naming the tensor that no method here has.
std::string plain_name(const AdapterMethod& method, const TensorInfo& info);

}  // namespace lora_dist
