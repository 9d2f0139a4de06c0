// Lays the LoRA factors out in one flat buffer and fills them with their first values.
#include "src/model/adapters.h"

#include <fmt/format.h>

#include <cmath>

#include "kernels/common/philox.h"
#include "src/core/error.h"

namespace lora_dist {

namespace {

/// PEFT's rule: the whole path, or an ending of it that starts after a dot. Paths of all blocks end alike, so block 0 stands for
/// them.
bool names_linear(const std::string& target, Linear linear) {
  const std::string path = module_path(0, linear);
  return path == target || path.ends_with("." + target);
}

}  // namespace

std::array<bool, kLinears> match_targets(const std::vector<std::string>& target_modules) {
  std::array<bool, kLinears> matched{};
  for (const std::string& target : target_modules) {
    bool any = false;
    for (const Linear linear : kAllLinears) {
      if (target == "all-linear" || names_linear(target, linear)) {
        matched[index_of(linear)] = true;
        any = true;
      }
    }
    if (!any) {
      throw Error(
          ExitCode::usage,
          fmt::format("adapter.target_modules: \"{}\" matches no linear layer of this model; there are q_proj, k_proj, v_proj, "
                      "o_proj, gate_proj, up_proj, down_proj, or \"all-linear\" for all of them",
                      target));
    }
  }
  return matched;
}

AdapterLayout make_adapter_layout(const ModelSpec& model, const AdapterSpec& spec) {
  const std::array<bool, kLinears> matched = match_targets(spec.target_modules);
  const double scale = spec.rslora ? spec.alpha / std::sqrt(static_cast<double>(spec.r)) : spec.alpha / spec.r;
  AdapterLayout layout;
  layout.blocks.resize(static_cast<std::size_t>(model.layers));
  for (auto& block : layout.blocks) {
    for (const Linear linear : kAllLinears) {
      if (!matched[index_of(linear)]) {
        continue;
      }
      const LinearShape shape = linear_shape(model, linear);
      LoraPlace place{spec.r, static_cast<float>(scale), layout.count, 0, shape.in, shape.out};
      place.b = place.a + place.r * shape.in;
      layout.count = place.b + shape.out * place.r;
      block[index_of(linear)] = place;
    }
  }
  return layout;
}

std::vector<AdapterFactor> adapter_factors(const AdapterLayout& layout) {
  std::vector<AdapterFactor> factors;
  for (std::size_t layer = 0; layer < layout.blocks.size(); ++layer) {
    for (const Linear linear : kAllLinears) {
      if (const auto& place = layout.blocks[layer][index_of(linear)]) {
        const std::string path = module_path(static_cast<std::int64_t>(layer), linear);
        factors.push_back({path, "lora_A", place->r, place->in, place->a});
        factors.push_back({path, "lora_B", place->out, place->r, place->b});
      }
    }
  }
  return factors;
}

void initialize_adapters(const AdapterLayout& layout, std::uint64_t seed, std::span<float> params) {
  const PhiloxKey key = {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
  constexpr std::uint32_t kStreamOfInitialWeights = 0x494E4954U;  // keeps these counters apart from dropout's
  for (std::size_t layer = 0; layer < layout.blocks.size(); ++layer) {
    for (std::size_t linear = 0; linear < kLinears; ++linear) {
      const auto& place = layout.blocks[layer][linear];
      if (!place) {
        continue;
      }
      const float bound = 1.0F / std::sqrt(static_cast<float>(place->in));
      for (std::int64_t i = 0; i < place->r * place->in; ++i) {
        const PhiloxCounter bits = philox4x32({static_cast<std::uint32_t>(i / 4), static_cast<std::uint32_t>(i >> 34),
                                               static_cast<std::uint32_t>(layer * 16 + linear), kStreamOfInitialWeights},
                                              key);
        const float uniform = uniform_float(bits[static_cast<std::size_t>(i % 4)]);
        params[static_cast<std::size_t>(place->a + i)] = (2.0F * uniform - 1.0F) * bound;
      }
      for (std::int64_t i = 0; i < place->out * place->r; ++i) {
        params[static_cast<std::size_t>(place->b + i)] = 0.0F;
      }
    }
  }
}

}  // namespace lora_dist
