// Bottleneck adapters (Houlsby et al. 2019, arXiv:1902.00751): a small MLP with a residual around it beside or after a sublayer.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/activation/activation.h"
#include "src/adapter/parameter.h"
#include "src/core/choices.h"
#include "src/model/model_config.h"

namespace lora_dist {

struct Family;

enum class BottleneckSite : std::uint8_t { attention, mlp };

/// delta(z) = scale * (up act(down z + down_bias) + up_bias).
struct Bottleneck {
  BottleneckSite site = BottleneckSite::mlp;
  std::int64_t layer = 0;
  std::vector<Parameter> parameters;  // down [width, hidden], its bias [width], up [hidden, width], its bias [hidden]

  const Parameter& down() const { return parameters[0]; }
  const Parameter& down_bias() const { return parameters[1]; }
  const Parameter& up() const { return parameters[2]; }
  const Parameter& up_bias() const { return parameters[3]; }
};

/// The settings that all bottlenecks of an adapter share. With s the output of a sublayer and h its residual, the sublayer's
/// place gives h + s + delta(h + s) after the MLP (pfeiffer), h + s + delta(s) after attention and MLP (houlsby), or h + s +
/// delta(h) beside the MLP (parallel).
struct BottleneckOptions {
  BottleneckPlacement placement = BottleneckPlacement::pfeiffer;
  Activation activation = Activation::relu;
  float scale = 1.0F;
  std::int64_t width = 0;
};

struct Bottlenecks {
  BottleneckOptions options;
  std::vector<Bottleneck> all;  // block by block, attention first
};

struct BottleneckConfig;
/// `hidden`: of the model. Width is at least 1.
BottleneckOptions bottleneck_options(const BottleneckConfig& config, std::int64_t hidden);

/// "model.layers.3.output_adapters", as the adapters library calls it.
std::string bottleneck_path(const Family& family, BottleneckSite site, std::int64_t layer);

/// The bottlenecks of every block; offsets are left 0. Throws Error(usage) for a model whose attention and MLP run side by side,
/// for which none is defined.
Bottlenecks make_bottlenecks(const ModelSpec& model, const BottleneckOptions& options);

/// The bottleneck of that site; null: there is none.
const Bottleneck* find_bottleneck(const Bottlenecks& bottlenecks, BottleneckSite site, std::int64_t layer);

/// As the adapters library: normal values with standard deviation 0.02 ("bert"); parallel ones begin with up = 0 and down uniform
/// in +- 1 / sqrt(hidden) ("mam_adapter"). Biases are 0. A value depends on (seed, layer, site, element) alone.
void initialize_bottlenecks(const Bottlenecks& bottlenecks, std::uint64_t seed, std::span<float> params);

}  // namespace lora_dist
