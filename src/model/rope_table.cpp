// Computes the rotation tables.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "src/model/model_config.h"

namespace lora_dist {

namespace {

float stretched_by_llama3(const RopeConfig& rope, float inverse) {
  const auto original = static_cast<double>(rope.original_positions);
  const double wavelength = 2.0 * std::numbers::pi / static_cast<double>(inverse);
  if (wavelength > original / rope.low_freq_factor) {
    return inverse / static_cast<float>(rope.factor);
  }
  if (wavelength >= original / rope.high_freq_factor) {
    const double smooth = (original / wavelength - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
    return static_cast<float>((1.0 - smooth) * inverse / rope.factor + smooth * inverse);
  }
  return inverse;
}

/// The pair of dimensions that makes that many rotations over the original positions.
double pair_of_rotations(const RopeConfig& rope, double dims, double rotations) {
  return dims * std::log(static_cast<double>(rope.original_positions) / (rotations * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(rope.theta));
}

/// YaRN (Peng et al., 2023): fast pairs keep their frequency, slow ones are stretched by the factor, between them it is blended.
std::vector<float> frequencies_of_yarn(const RopeConfig& rope, double dims, std::size_t count) {
  double low = pair_of_rotations(rope, dims, rope.beta_fast);
  double high = pair_of_rotations(rope, dims, rope.beta_slow);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dims - 1.0);
  high += low == high ? 0.001 : 0.0;
  std::vector<float> inverse(count);
  for (std::size_t i = 0; i < count; ++i) {
    const float power = std::pow(static_cast<float>(rope.theta), static_cast<float>(2 * i) / static_cast<float>(dims));
    const float ramp = std::clamp((static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low), 0.0F, 1.0F);
    const float kept = 1.0F - ramp;
    inverse[i] = 1.0F / (static_cast<float>(rope.factor) * power) * (1.0F - kept) + 1.0F / power * kept;
  }
  return inverse;
}

/// Inverse frequencies in fp32, as transformers' _compute_default_rope_parameters and its scaled variants compute them.
/// `longer`: of sequences beyond the original positions.
std::vector<float> inverse_frequencies(const ModelSpec& spec, const RopeConfig& rope, bool longer) {
  const auto dims = static_cast<float>(rope.dims > 0 ? rope.dims : spec.head_dim);
  const auto count = static_cast<std::size_t>(spec.rotary_width() / 2);
  if (rope.type == "yarn") {
    return frequencies_of_yarn(rope, static_cast<double>(dims), count);
  }
  const std::vector<double>& factors = longer ? rope.long_factors : rope.short_factors;
  std::vector<float> inverse(count);
  for (std::size_t i = 0; i < count; ++i) {
    const float exponent = static_cast<float>(2 * i) / dims;
    const float power = std::pow(static_cast<float>(rope.theta), exponent);
    inverse[i] = 1.0F / (rope.type == "longrope" ? static_cast<float>(factors[i]) * power : power);
    if (rope.type == "linear") {
      inverse[i] /= static_cast<float>(rope.factor);
    }
    if (rope.type == "llama3") {
      inverse[i] = stretched_by_llama3(rope, inverse[i]);
    }
  }
  return inverse;
}

}  // namespace

std::int64_t rope_table_rows(const RopeConfig& rope, std::int64_t positions) {
  return rope.type == "longrope" && positions > rope.original_positions ? 2 * positions : positions;
}

std::vector<float> make_rope_table(const ModelSpec& config, const RopeConfig& rope, std::int64_t positions) {
  const auto rows = static_cast<std::size_t>(rope_table_rows(rope, positions));
  const std::size_t half = static_cast<std::size_t>(config.rotary_width()) / 2;
  const auto factor = static_cast<float>(rope.attention_factor);
  std::vector<float> table(rows * half * 2);
  std::vector<float> inverse;
  for (std::size_t row = 0; row < rows; ++row) {
    const std::size_t p = row % static_cast<std::size_t>(positions);
    if (p == 0) {
      inverse = inverse_frequencies(config, rope, row > 0);
    }
    for (std::size_t i = 0; i < half; ++i) {
      const float angle = static_cast<float>(p) * inverse[i];
      table[row * 2 * half + i] = std::cos(angle) * factor;
      table[row * 2 * half + half + i] = std::sin(angle) * factor;
    }
  }
  return table;
}

std::vector<float> make_query_rope_table(const ModelSpec& config, std::int64_t positions) {
  std::vector<float> table = make_rope_table(config, positions);
  const std::int64_t width = config.rotary_width();
  for (std::int64_t p = 0; p < positions; ++p) {
    const double grown = std::floor(static_cast<double>(p) / static_cast<double>(config.rope.original_positions));
    const auto factor = static_cast<float>(1.0 + config.rope.query_growth * std::log(1.0 + grown));
    for (std::int64_t i = p * width; i < (p + 1) * width; ++i) {
      table[static_cast<std::size_t>(i)] *= factor;
    }
  }
  return table;
}

}  // namespace lora_dist
