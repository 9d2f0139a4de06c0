// The keys of each architecture, and their check by the reader.
#include "src/convert/gguf_model_keys.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <tuple>

#include "src/core/error.h"
#include "src/io/gguf_architecture.h"
#include "src/model/family.h"
#include "src/model/tensor_table.h"

namespace lora_dist {
namespace {

const GgufArchitecture& architecture_for(const ModelSpec& spec) {
  const GgufArchitecture* architecture = find_gguf_architecture(spec.model_type);
  if (architecture == nullptr) {
    throw Error(ExitCode::model, fmt::format("models of type {} cannot be written as GGUF files by this program ({} can); merge "
                                             "the adapter and use llama.cpp's own converter",
                                             spec.model_type, gguf_model_types()));
  }
  return *architecture;
}

std::uint32_t whole(std::int64_t value) { return static_cast<std::uint32_t>(value); }

bool has_windows(const ModelSpec& spec) {
  return std::ranges::any_of(spec.layer_specs, [](const LayerSpec& layer) { return layer.window > 0; });
}

/// The number of parameters in a few digits, as gguf-py's size_label writes it: "260K", "4.9M".
std::string size_label(std::int64_t parameters) {
  constexpr std::array<std::pair<double, char>, 4> kUnits = {{{1e12, 'T'}, {1e9, 'B'}, {1e6, 'M'}, {1e3, 'K'}}};
  const auto count = static_cast<double>(parameters);
  const auto* unit = std::ranges::find_if(kUnits, [&](const auto& each) { return count > each.first; });
  unit = unit == kUnits.end() ? &kUnits.back() : unit;
  const double scaled = count / unit->first;
  return fmt::format("{:.{}f}{}", scaled, std::round(scaled) < 10.0 ? 1 : 0, unit->second);
}

/// Windows of attention, for models whose windows have keys.
void add_window_keys(const ModelSpec& spec, const std::string& prefix, std::vector<GgufKey>& keys) {
  std::int64_t window = 0;
  GgufFlags pattern;
  for (std::int64_t i = 0; i < spec.layers; ++i) {
    window = std::max(window, spec.layer(i).window);
    pattern.flags.push_back(spec.layer(i).window > 0);
  }
  keys.push_back({prefix + "attention.sliding_window", whole(window)});
  keys.push_back({prefix + "attention.sliding_window_pattern", pattern});
}

void add_rope_keys(const ModelSpec& spec, const std::string& prefix, std::vector<GgufKey>& keys) {
  keys.push_back({prefix + "rope.dimension_count", whole(spec.rope.dims > 0 ? spec.rope.dims : spec.head_dim)});
  keys.push_back({prefix + "rope.freq_base", static_cast<float>(spec.rope.theta)});
  if (spec.rope.type == "linear") {
    keys.push_back({prefix + "rope.scaling.type", std::string("linear")});
    keys.push_back({prefix + "rope.scaling.factor", static_cast<float>(spec.rope.factor)});
  }
}

/// Members of a description that decide what a model computes, by name.
std::vector<std::string> differences(const ModelSpec& one, const ModelSpec& other) {
  std::vector<std::string> out;
  const auto compare = [&](const char* what, const auto& a, const auto& b) {
    if (a != b) {
      out.emplace_back(what);
    }
  };
  compare("number of layers", one.layers, other.layers);
  compare("hidden size", one.hidden, other.hidden);
  compare("heads", std::tuple(one.heads, one.kv_heads, one.head_dim), std::tuple(other.heads, other.kv_heads, other.head_dim));
  compare("intermediate size", one.intermediate, other.intermediate);
  compare("vocabulary", one.vocab, other.vocab);
  compare("tied head", one.tied_head, other.tied_head);
  const auto norms = [](const ModelSpec& spec) {
    return std::tuple(spec.norm, spec.norm_before, spec.shared_norm, spec.norm_after, spec.norm_bias, spec.norm_adds_one,
                      spec.width_norm, spec.head_norm, spec.norm_eps);
  };
  compare("norms", norms(one), norms(other));
  compare("scales", std::tuple(one.residual_scale, one.logits_scale), std::tuple(other.residual_scale, other.logits_scale));
  compare("soft caps", std::tuple(one.score_cap, one.logits_cap), std::tuple(other.score_cap, other.logits_cap));
  compare("scale of the embedding", one.embedding_scale, other.embedding_scale);
  compare("positions", one.learned_positions, other.learned_positions);
  compare("activation", std::tuple(one.activation, one.gated), std::tuple(other.activation, other.gated));
  compare("parallel residual", one.parallel_residual, other.parallel_residual);
  compare("biases", one.bias, other.bias);
  compare("fused q, k and v", one.fused_qkv.has_value(), other.fused_qkv.has_value());
  compare("fused gate and up", one.fused_gate_up, other.fused_gate_up);
  const auto rotation = [](const ModelSpec& spec) {
    const bool scaled = spec.rope.type != "default";
    const bool llama3 = spec.rope.type == "llama3";
    return std::tuple(static_cast<float>(spec.rope.theta), spec.rotary_width(), spec.rope_pairs, spec.window_rope.has_value(),
                      spec.rope.type, scaled ? static_cast<float>(spec.rope.factor) : 1.0F,
                      llama3 ? spec.rope.low_freq_factor : 0.0, llama3 ? spec.rope.high_freq_factor : 0.0,
                      llama3 ? spec.rope.original_positions : 0);
  };
  if (!one.learned_positions) {
    compare("rotation of positions", rotation(one), rotation(other));
  }
  return out;
}

/// The first layer that differs. Windows beyond the file's context have no effect.
std::vector<std::string> layer_differences(const ModelSpec& one, const ModelSpec& other) {
  const std::int64_t context = gguf_context_length(one);
  for (std::int64_t i = 0; i < std::min(one.layers, other.layers); ++i) {
    const auto window = [&](const LayerSpec& layer) { return layer.window >= context ? 0 : layer.window; };
    const LayerSpec a = one.layer(i);
    const LayerSpec b = other.layer(i);
    if (window(a) != window(b) || a.rotary != b.rotary || a.score_scale != b.score_scale) {
      return {fmt::format("attention of layer {}", i)};
    }
  }
  return {};
}

}  // namespace

std::int64_t gguf_context_length(const ModelSpec& spec) {
  std::int64_t out = spec.max_positions;
  if (architecture_for(spec).model_type != "exaone4") {
    for (const LayerSpec& layer : spec.layer_specs) {
      out = layer.window > 0 ? std::min(out, layer.window) : out;
    }
  }
  return out;
}

std::vector<GgufKey> gguf_model_keys(const ModelSpec& spec, const std::string& name, GgufFileType type) {
  const GgufArchitecture& architecture = architecture_for(spec);
  const std::string prefix = std::string(architecture.name) + ".";
  std::vector<GgufKey> keys = {{"general.architecture", std::string(architecture.name)},
                               {"general.type", std::string("model")},
                               {"general.name", name},
                               {"general.size_label", size_label(parameter_count(spec))},
                               {prefix + "block_count", whole(spec.layers)},
                               {prefix + "context_length", whole(gguf_context_length(spec))},
                               {prefix + "embedding_length", whole(spec.hidden)},
                               {prefix + "feed_forward_length", whole(spec.intermediate)},
                               {prefix + "attention.head_count", whole(spec.heads)}};
  const bool fused = spec.fused_qkv.has_value();
  if (!fused) {
    keys.push_back({prefix + "attention.head_count_kv", whole(spec.kv_heads)});
    keys.push_back({prefix + "attention.key_length", whole(spec.head_dim)});
    keys.push_back({prefix + "attention.value_length", whole(spec.head_dim)});
  }
  keys.push_back({prefix + std::string(architecture.epsilon), spec.norm_eps});
  keys.push_back({prefix + "vocab_size", whole(spec.vocab)});
  if (!spec.learned_positions) {
    add_rope_keys(spec, prefix, keys);
  }
  if (architecture.model_type == "gpt_neox") {
    keys.push_back({prefix + "use_parallel_residual", spec.parallel_residual});
  }
  const bool has_divisors = architecture.name == "llama" || architecture.name == "exaone" || architecture.name == "exaone4";
  if (!has_divisors && !gguf_rope_divisors(spec).empty()) {
    throw Error(ExitCode::model,
                fmt::format("GGUF files of architecture {} have no rotation of type llama3; merge the adapter into "
                            "a Hugging Face folder instead (lora_dist merge)",
                            architecture.name));
  }
  if (architecture.model_type == "exaone4" && has_windows(spec)) {
    add_window_keys(spec, prefix, keys);
  }
  keys.push_back({"general.file_type", gguf_file_type_number(type)});
  keys.push_back({"general.quantization_version", std::uint32_t{2}});
  return keys;
}

std::vector<float> gguf_rope_divisors(const ModelSpec& spec) {
  const RopeConfig& rope = spec.rope;
  if (spec.learned_positions || rope.type != "llama3") {
    return {};
  }
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

void check_gguf_model(const ModelSpec& spec, const std::filesystem::path& folder, const std::filesystem::path& gguf) {
  const ModelSpec written = read_model_config(gguf);
  std::vector<std::string> differing = differences(spec, written);
  std::ranges::copy(layer_differences(spec, written), std::back_inserter(differing));
  if (!differing.empty()) {
    throw Error(
        ExitCode::model,
        fmt::format("{}: a GGUF file of architecture {} cannot say this model's {}, and would be another model; merge the "
                    "adapter into a Hugging Face folder instead (lora_dist merge)",
                    folder.string(), architecture_for(spec).name, fmt::join(differing, ", ")));
  }
}

}  // namespace lora_dist
