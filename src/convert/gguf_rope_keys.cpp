// Keys of each type of rotation (contract: llama.cpp, convert_hf_to_gguf.py, and how its runtime reads them).
#include "src/convert/gguf_rope_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string_view>
#include <tuple>

#include "src/core/error.h"

namespace lora_dist {
namespace {

/// Architectures for which llama.cpp loads rope_freqs.weight.
constexpr auto kWithDivisors = std::to_array<std::string_view>({"exaone", "exaone4", "granite", "llama", "mistral3"});

/// The divisors of Llama 3.1's scaling.
std::vector<float> divisors_of(const ModelSpec& spec) {
  const RopeConfig& rope = spec.rope;
  const auto dims = static_cast<float>(rope.dims > 0 ? rope.dims : spec.head_dim);
  const auto positions = static_cast<double>(rope.original_positions);
  std::vector<float> out;
  for (std::int64_t i = 0; i < spec.rotary_width() / 2; ++i) {
    const float frequency = 1.0F / std::pow(static_cast<float>(rope.theta), static_cast<float>(2 * i) / dims);
    const double wavelength = 2.0 * std::numbers::pi / static_cast<double>(frequency);
    double divisor = 1.0;
    if (wavelength > positions / rope.low_freq_factor) {
      divisor = rope.factor;
    } else if (wavelength >= positions / rope.high_freq_factor) {
      const double smooth = (positions / wavelength - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
      divisor = 1.0 / ((1.0 - smooth) / rope.factor + smooth);
    }
    out.push_back(static_cast<float>(divisor));
  }
  return out;
}

std::vector<float> floats_of(const std::vector<double>& values) { return {values.begin(), values.end()}; }

double grown_factor(const RopeConfig& rope) { return rope.factor <= 1.0 ? 1.0 : 0.1 * std::log(rope.factor) + 1.0; }

/// llama.cpp's own factor of cos and sin grows with the stretching; what the model has beyond that is written beside it.
void add_yarn_keys(const ModelSpec& spec, const GgufArchitecture& architecture, const std::string& prefix,
                   std::vector<GgufKey>& keys) {
  const RopeConfig& rope = spec.rope;
  const auto put = [&](const char* name, GgufKeyValue value) { keys.push_back({prefix + name, std::move(value)}); };
  put("type", std::string("yarn"));
  put("factor", static_cast<float>(rope.factor));
  put("original_context_length", static_cast<std::uint32_t>(rope.original_positions));
  if (rope.beta_fast != 32.0 || architecture.name == "mistral3") {
    put("yarn_beta_fast", static_cast<float>(rope.beta_fast));
  }
  if (rope.beta_slow != 1.0 || architecture.name == "mistral3") {
    put("yarn_beta_slow", static_cast<float>(rope.beta_slow));
  }
  const double grown = grown_factor(rope);
  if (architecture.name == "mistral3" && grown > 1.0) {  // mscale is 1 and mscale_all_dim in the key
    put("yarn_log_multiplier", static_cast<float>((grown / rope.attention_factor - 1.0) / (grown - 1.0)));
  } else if (!is_close(rope.attention_factor, grown)) {
    put("attn_factor", static_cast<float>(rope.attention_factor / grown));
  }
}

/// Phi-3's files tell the original context also where nothing is stretched.
void add_phi3_keys(const ModelSpec& spec, const std::string& prefix, std::vector<GgufKey>& keys) {
  const bool stretched = spec.rope.type == "longrope";
  const std::int64_t original = stretched ? spec.rope.original_positions : spec.max_positions;
  keys.push_back({prefix + "original_context_length", static_cast<std::uint32_t>(original)});
  if (stretched) {
    keys.push_back({prefix + "attn_factor", static_cast<float>(spec.rope.attention_factor)});
  }
}

void check_type(const ModelSpec& spec, const GgufArchitecture& architecture) {
  const std::string& type = spec.rope.type;
  const bool has_divisors = std::ranges::find(kWithDivisors, architecture.name) != kWithDivisors.end();
  const bool never = architecture.name == "cohere2" && type != "default";
  if (never || (type == "llama3" && !has_divisors) || (type == "longrope" && architecture.name != "phi3")) {
    throw Error(ExitCode::model, fmt::format("GGUF files of architecture {} have no rotation of type {}; merge the adapter into "
                                             "a Hugging Face folder instead (lora_dist merge)",
                                             architecture.name, type));
  }
}

}  // namespace

bool is_close(double a, double b) { return std::abs(a - b) <= 1e-6 * std::abs(a); }

void add_gguf_rope_keys(const ModelSpec& spec, const GgufArchitecture& architecture, std::vector<GgufKey>& keys) {
  check_type(spec, architecture);
  const RopeConfig& rope = spec.rope;
  const std::string prefix = std::string(architecture.name) + ".rope.";
  const std::int64_t dims = rope.dims > 0 ? rope.dims : spec.head_dim;
  keys.push_back({prefix + "dimension_count", static_cast<std::uint32_t>(dims)});
  keys.push_back({prefix + "freq_base", static_cast<float>(rope.theta)});
  if (spec.window_rope) {
    keys.push_back({prefix + "freq_base_swa", static_cast<float>(spec.window_rope->theta)});
  }
  const std::string scaling = prefix + "scaling.";
  if (rope.type == "linear") {
    keys.push_back({scaling + "type", std::string("linear")});
    keys.push_back({scaling + "factor", static_cast<float>(rope.factor)});
  } else if (rope.type == "yarn") {
    add_yarn_keys(spec, architecture, scaling, keys);
  } else if (architecture.name == "phi3") {
    add_phi3_keys(spec, scaling, keys);
  } else if (architecture.name == "cohere2" || architecture.name == "nemotron") {
    keys.push_back({scaling + "type", std::string("none")});
  }
  if (rope.query_growth > 0.0) {
    keys.push_back({std::string(architecture.name) + ".attention.temperature_scale", static_cast<float>(rope.query_growth)});
  }
}

std::vector<GgufRopeTensor> gguf_rope_tensors(const ModelSpec& spec) {
  if (!spec.learned_positions && spec.rope.type == "llama3") {
    return {{"rope_freqs.weight", divisors_of(spec)}};
  }
  if (!spec.learned_positions && spec.rope.type == "longrope") {
    return {{"rope_factors_long.weight", floats_of(spec.rope.long_factors)},
            {"rope_factors_short.weight", floats_of(spec.rope.short_factors)}};
  }
  return {};
}

bool same_rotation(const RopeConfig& one, const RopeConfig& other) {
  const auto type_of = [](const RopeConfig& rope) { return rope.type == "dynamic" ? "default" : rope.type; };
  const std::string type = type_of(one);
  if (type != type_of(other) || !is_close(one.theta, other.theta) || !is_close(one.query_growth, other.query_growth)) {
    return false;
  }
  const bool stretched = type != "default" && type != "linear";
  const bool same_origin = (!stretched && one.query_growth == 0.0) || one.original_positions == other.original_positions;
  const bool same_factor = type == "default" || type == "longrope" || is_close(one.factor, other.factor);
  const bool same_llama3 = type != "llama3" || std::tuple(one.low_freq_factor, one.high_freq_factor) ==
                                                   std::tuple(other.low_freq_factor, other.high_freq_factor);
  const bool same_yarn = type != "yarn" || (is_close(one.beta_fast, other.beta_fast) &&
                                            is_close(one.beta_slow, other.beta_slow) && one.truncate == other.truncate);
  return same_origin && same_factor && same_llama3 && same_yarn && is_close(one.attention_factor, other.attention_factor) &&
         floats_of(one.short_factors) == floats_of(other.short_factors) &&
         floats_of(one.long_factors) == floats_of(other.long_factors);
}

}  // namespace lora_dist
