// The table of adapter methods: what differs between LoRA and its relatives. A method is one row here and one file.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "src/adapter/linear_hooks.h"
#include "src/adapter/parameter.h"
#include "src/core/choices.h"

namespace lora_dist {

/// What the first values of a linear's parameters depend on, beside the element.
struct InitialKey {
  std::uint64_t seed = 0;
  std::uint32_t layer = 0;
  std::uint32_t linear = 0;
};

struct AdapterMethod {
  std::string_view name;  // the word of adapter.method
  /// The parameters of a linear layer [out, in]: names, shapes and cuts; offsets are left 0.
  std::vector<Parameter> (*parameters)(std::int64_t in, std::int64_t out, std::int64_t r);
  /// Fills the layer's parameters in the flat buffer of the whole adapter.
  void (*initialize)(const AdaptedLinear& linear, const InitialKey& key, std::span<float> params);
  LinearHooks linear;
};

/// y += scale * B A dropout(x). Hu et al. 2021, arXiv:2106.09685.
const AdapterMethod& lora_method();
/// The rows of W + scale * B A get trained lengths. Liu et al. 2024, arXiv:2402.09353.
const AdapterMethod& dora_method();

/// All of them, those that adapter.method cannot name yet too: of DoRA the folder and the merge are missing.
std::span<const AdapterMethod* const> adapter_methods();

/// The row of a value of adapter.method: the one of its word.
const AdapterMethod& method_of(Method method);

}  // namespace lora_dist
