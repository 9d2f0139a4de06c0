// Computes the rotation table.
#include <cmath>
#include <numbers>

#include "src/model/model_config.h"

namespace lora_dist {

namespace {

/// Inverse frequencies in fp32, as transformers' _compute_default_rope_parameters and its scaled variants compute them.
std::vector<float> inverse_frequencies(const ModelSpec& spec) {
  const RopeConfig& rope = spec.rope;
  const auto dims = static_cast<float>(rope.dims > 0 ? rope.dims : spec.head_dim);
  std::vector<float> inverse(static_cast<std::size_t>(spec.rotary_width() / 2));
  for (std::size_t i = 0; i < inverse.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / dims;
    inverse[i] = 1.0F / std::pow(static_cast<float>(rope.theta), exponent);
    if (rope.type == "linear") {
      inverse[i] /= static_cast<float>(rope.factor);
    }
    if (rope.type == "llama3") {
      const auto original = static_cast<double>(rope.original_positions);
      const double wavelength = 2.0 * std::numbers::pi / static_cast<double>(inverse[i]);
      if (wavelength > original / rope.low_freq_factor) {
        inverse[i] /= static_cast<float>(rope.factor);
      } else if (wavelength >= original / rope.high_freq_factor) {
        const double smooth = (original / wavelength - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
        inverse[i] = static_cast<float>((1.0 - smooth) * inverse[i] / rope.factor + smooth * inverse[i]);
      }
    }
  }
  return inverse;
}

}  // namespace

std::vector<float> make_rope_table(const ModelSpec& config, std::int64_t positions) {
  const std::vector<float> inverse = inverse_frequencies(config);
  const std::size_t half = inverse.size();
  std::vector<float> table(static_cast<std::size_t>(positions) * half * 2);
  for (std::size_t p = 0; p < static_cast<std::size_t>(positions); ++p) {
    for (std::size_t i = 0; i < half; ++i) {
      const float angle = static_cast<float>(p) * inverse[i];
      table[p * 2 * half + i] = std::cos(angle);
      table[p * 2 * half + half + i] = std::sin(angle);
    }
  }
  return table;
}

}  // namespace lora_dist
