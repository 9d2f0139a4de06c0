// Types of scaling, as llama.cpp reads them.
#include "src/io/gguf_rotation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>
#include <vector>

#include "src/io/gguf_architecture.h"
#include "src/io/safetensors.h"

namespace lora_dist {
namespace {

using nlohmann::ordered_json;

constexpr const char* kDivisors = "rope_freqs.weight";
constexpr const char* kShortFactors = "rope_factors_short.weight";
constexpr const char* kLongFactors = "rope_factors_long.weight";

std::vector<float> read_values(const GgufFile& file, const char* name, std::int64_t count) {
  const auto found = file.tensors.find(name);
  if (found == file.tensors.end() || found->second.type->name != "F32" || found->second.elements() != count) {
    file.fail(fmt::format("tensor {} must be {} values of F32; convert the model again", name, count));
  }
  const GgufTensor& tensor = found->second;
  TensorInfo info;
  info.file = tensor.file;
  info.offset = tensor.offset;
  info.bytes = tensor.bytes;
  std::vector<float> out(static_cast<std::size_t>(count));
  read_tensor_bytes(info, 0, std::as_writable_bytes(std::span(out)));
  return out;
}

/// The divisor of frequency i in Llama 3.1's scaling (contract: transformers, modeling_rope_utils.py).
double llama3_divisor(std::int64_t i, std::int64_t dims, double theta, double factor, double positions) {
  constexpr double kLow = 1.0;
  constexpr double kHigh = 4.0;
  const double wavelength = 2.0 * std::numbers::pi * std::pow(theta, 2.0 * static_cast<double>(i) / static_cast<double>(dims));
  if (wavelength < positions / kHigh) {
    return 1.0;
  }
  if (wavelength > positions / kLow) {
    return factor;
  }
  const double smooth = (positions / wavelength - kLow) / (kHigh - kLow);
  return 1.0 / ((1.0 - smooth) / factor + smooth);
}

/// Files have the divisors alone: the settings of Llama 3.1 that give them are looked for.
ordered_json stretched_rotation(const GgufFile& file, double theta, std::int64_t dims) {
  const std::vector<float> divisors = read_values(file, kDivisors, dims / 2);
  const double factor = *std::ranges::max_element(divisors);
  for (std::int64_t positions = 16; positions <= std::int64_t{1} << 22; positions *= 2) {
    bool fits = factor >= 1.0 && std::isfinite(factor);
    for (std::int64_t i = 0; fits && i < std::ssize(divisors); ++i) {
      const double wanted = llama3_divisor(i, dims, theta, factor, static_cast<double>(positions));
      fits = std::abs(divisors[static_cast<std::size_t>(i)] - wanted) <= 1e-4 * wanted;
    }
    if (fits) {
      return {{"rope_type", "llama3"},
              {"factor", factor},
              {"low_freq_factor", 1.0},
              {"high_freq_factor", 4.0},
              {"original_max_position_embeddings", positions}};
    }
  }
  file.fail("tensor rope_freqs.weight stretches rotations in a way that is not Llama 3.1's, which is not supported");
}

/// A missing type is linear, and older files have one key alone. Null: none.
ordered_json linear(const GgufFile& file, std::optional<double> factor) {
  if (!factor) {
    factor = file.number(gguf_key(file, "rope.scale_linear"));
  }
  if (factor.value_or(0.0) == 0.0 || *factor == 1.0) {
    return nullptr;
  }
  return {{"rope_type", "linear"}, {"factor", *factor}};
}

/// The positions of training before they were stretched.
std::int64_t original_context(const GgufFile& file) {
  const auto original = file.integer(gguf_key(file, "rope.scaling.original_context_length"));
  return original ? *original : file.integer(gguf_key(file, "context_length")).value_or(0);
}

double number_or(const GgufFile& file, std::string_view name, double otherwise) {
  return file.number(gguf_key(file, name)).value_or(otherwise);
}

/// attention_factor is left out where it is what transformers computes.
void add_attention_factor(double factor, double computed, ordered_json& out) {
  if (std::abs(factor - computed) > 1e-6 * computed) {
    out["attention_factor"] = factor;
  }
}

ordered_json yarn(const GgufFile& file, std::optional<double> factor) {
  if (!factor) {
    file.fail(fmt::format("key {} is missing, which yarn needs; convert the model again", gguf_key(file, "rope.scaling.factor")));
  }
  if (number_or(file, "rope.scaling.yarn_ext_factor", 1.0) != 1.0) {
    file.fail(gguf_key(file, "rope.scaling.yarn_ext_factor") + " is not 1, which is not supported");
  }
  ordered_json out = {{"rope_type", "yarn"},
                      {"factor", *factor},
                      {"original_max_position_embeddings", original_context(file)},
                      {"beta_fast", number_or(file, "rope.scaling.yarn_beta_fast", 32.0)},
                      {"beta_slow", number_or(file, "rope.scaling.yarn_beta_slow", 1.0)}};
  const double grown = *factor <= 1.0 ? 1.0 : 0.1 * std::log(*factor) + 1.0;
  const double more = number_or(file, "rope.scaling.attn_factor", 1.0);
  const std::optional<double> all_dims = file.number(gguf_key(file, "rope.scaling.yarn_log_multiplier"));
  if (all_dims.value_or(0.0) != 0.0 && more == 1.0) {
    out["mscale"] = 1.0;
    out["mscale_all_dim"] = *all_dims;
    return out;
  }
  add_attention_factor(number_or(file, "rope.scaling.yarn_attn_factor", grown) * more, grown, out);
  return out;
}

ordered_json longrope(const GgufFile& file, std::int64_t dims) {
  const std::vector<float> short_factors = read_values(file, kShortFactors, dims / 2);
  const std::vector<float> long_factors = read_values(file, kLongFactors, dims / 2);
  const auto original = static_cast<double>(original_context(file));
  const double factor = static_cast<double>(file.integer(gguf_key(file, "context_length")).value_or(0)) / original;
  const double grown = factor > 1.0 ? std::sqrt(1.0 + std::log(factor) / std::log(original)) : 1.0;
  ordered_json out = {{"rope_type", "longrope"},
                      {"original_max_position_embeddings", original_context(file)},
                      {"short_factor", short_factors},
                      {"long_factor", long_factors}};
  add_attention_factor(number_or(file, "rope.scaling.attn_factor", grown), grown, out);
  return out;
}

/// What the keys say; null: nothing.
ordered_json scaling_of_keys(const GgufFile& file, std::int64_t dims) {
  const std::string* type = file.text(gguf_key(file, "rope.scaling.type"));
  const std::optional<double> factor = file.number(gguf_key(file, "rope.scaling.factor"));
  if (file.tensors.contains(kLongFactors) || (type != nullptr && *type == "longrope")) {
    return longrope(file, dims);
  }
  if (type == nullptr || *type == "linear") {
    return linear(file, factor);
  }
  if (*type == "none") {
    return nullptr;
  }
  if (*type == "yarn") {
    return yarn(file, factor);
  }
  file.fail(fmt::format("{} is \"{}\", which is not supported (none, linear, yarn and longrope are)",
                        gguf_key(file, "rope.scaling.type"), shown_gguf_text(*type)));
}

}  // namespace

bool is_rotation_tensor(std::string_view name) { return name == kDivisors || name == kShortFactors || name == kLongFactors; }

double gguf_theta(const GgufFile& file) { return number_or(file, "rope.freq_base", 10000.0); }

std::int64_t gguf_rotated_dims(const GgufFile& file, std::int64_t head_dim) {
  return file.integer(gguf_key(file, "rope.dimension_count")).value_or(head_dim);
}

ordered_json gguf_rope_scaling(const GgufFile& file, double theta, std::int64_t dims) {
  ordered_json scaling = scaling_of_keys(file, dims);
  if (!file.tensors.contains(kDivisors)) {
    return scaling;
  }
  if (!scaling.is_null()) {
    file.fail(fmt::format("it has both tensor rope_freqs.weight and {} rope scaling, which is not supported",
                          scaling["rope_type"].get<std::string>()));
  }
  return stretched_rotation(file, theta, dims);
}

}  // namespace lora_dist
