// The keys of each architecture, and their check by the reader.
#include "src/convert/gguf_model_keys.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <tuple>
#include <utility>

#include "src/convert/gguf_rope_keys.h"
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

/// The number of parameters in a few digits, as gguf-py's size_label writes it: "260K", "4.9M".
std::string size_label(std::int64_t parameters) {
  constexpr std::array<std::pair<double, char>, 4> kUnits = {{{1e12, 'T'}, {1e9, 'B'}, {1e6, 'M'}, {1e3, 'K'}}};
  const auto count = static_cast<double>(parameters);
  const auto* unit = std::ranges::find_if(kUnits, [&](const auto& each) { return count > each.first; });
  unit = unit == kUnits.end() ? &kUnits.back() : unit;
  const double scaled = count / unit->first;
  return fmt::format("{:.{}f}{}", scaled, std::round(scaled) < 10.0 ? 1 : 0, unit->second);
}

/// Windows of attention, for models whose windows have keys. The list is left out where readers know it.
void add_window_keys(const ModelSpec& spec, const GgufArchitecture& architecture, const std::string& prefix,
                     std::vector<GgufKey>& keys) {
  std::int64_t window = 0;
  GgufFlags pattern;
  bool is_known = architecture.model_type != "olmo3" && architecture.global_every > 0;
  for (std::int64_t i = 0; i < spec.layers; ++i) {
    const bool slides = spec.layer(i).window > 0;
    window = std::max(window, spec.layer(i).window);
    pattern.flags.push_back(slides);
    is_known = is_known && slides == ((i + 1) % architecture.global_every != 0);
  }
  keys.push_back({prefix + "attention.sliding_window", whole(window)});
  if (architecture.windows == GgufWindows::listed && !is_known) {
    keys.push_back({prefix + "attention.sliding_window_pattern", pattern});
  }
}

/// The factor of attention scores.
float score_factor(const ModelSpec& spec) {
  return static_cast<float>(spec.layer(0).score_scale / std::sqrt(static_cast<double>(spec.head_dim)));
}

/// Factors, caps and switches that one family has.
void add_own_keys(const ModelSpec& spec, const GgufArchitecture& architecture, const std::string& prefix,
                  std::vector<GgufKey>& keys) {
  const auto put = [&](const char* name, GgufKeyValue value) { keys.push_back({prefix + name, std::move(value)}); };
  if (architecture.model_type == "gpt_neox" || architecture.model_type == "stablelm") {
    put("use_parallel_residual", spec.parallel_residual);
  } else if (architecture.model_type == "granite") {
    put("attention.scale", score_factor(spec));
    put("embedding_scale", spec.embedding_scale);
    put("residual_scale", spec.residual_scale);
    put("logit_scale", 1.0F / spec.logits_scale);
  } else if (architecture.model_type == "cohere2") {
    put("logit_scale", spec.logits_scale);
  }
  if (spec.score_cap > 0.0F) {
    put("attn_logit_softcapping", spec.score_cap);
  }
  if (spec.logits_cap > 0.0F) {
    put("final_logit_softcapping", spec.logits_cap);
  }
}

/// Throws Error(model) naming what llama.cpp would refuse, though the format could hold it.
void check_readers(const ModelSpec& spec, const GgufArchitecture& architecture) {
  const auto refuse = [&](const std::string& what) {
    throw Error(ExitCode::model, fmt::format("llama.cpp has no {} for architecture {}, and would not load the file; merge the "
                                             "adapter into a Hugging Face folder instead (lora_dist merge)",
                                             what, architecture.name));
  };
  if (architecture.head == (spec.tied_head ? GgufHead::own : GgufHead::tied)) {
    refuse(spec.tied_head ? "tied head" : "head of its own");
  }
  if (architecture.heads_fill_hidden && spec.query_width() != spec.hidden) {
    refuse(fmt::format("heads of {} dimensions that are not the hidden size ({}) together", spec.head_dim, spec.hidden));
  }
  for (const Linear linear : {Linear::o, Linear::gate, Linear::up, Linear::down}) {
    if (architecture.biases == GgufBiases::qkv && spec.bias[index_of(linear)]) {
      refuse("biases of " + module_path(*spec.family, 0, linear));
    }
  }
}

/// Equal but for the rounding of what a file holds as a quotient.
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
  compare("scales", is_close(one.residual_scale, other.residual_scale) && is_close(one.logits_scale, other.logits_scale), true);
  compare("soft caps", std::tuple(one.score_cap, one.logits_cap), std::tuple(other.score_cap, other.logits_cap));
  compare("scale of the embedding", one.embedding_scale, other.embedding_scale);
  compare("positions", one.learned_positions, other.learned_positions);
  compare("activation", std::tuple(one.activation, one.gated), std::tuple(other.activation, other.gated));
  compare("parallel residual", one.parallel_residual, other.parallel_residual);
  const auto biases = [](const ModelSpec& spec) {
    std::array<bool, kLinears> out{};
    for (std::size_t i = 0; i < out.size(); ++i) {
      const LinearShape shape = linear_shape(spec, static_cast<Linear>(i));
      out[i] = shape.out > 0 && shape.bias;
    }
    return out;
  };
  compare("biases", biases(one), biases(other));
  compare("fused q, k and v", one.fused_qkv.has_value(), other.fused_qkv.has_value());
  compare("fused gate and up", one.fused_gate_up, other.fused_gate_up);
  if (!one.learned_positions) {
    const auto shape = [](const ModelSpec& spec) {
      return std::tuple(spec.rotary_width(), spec.rope_pairs, spec.window_rope.has_value());
    };
    const bool same = shape(one) == shape(other) && same_rotation(one.rope, other.rope) &&
                      (!one.window_rope || same_rotation(*one.window_rope, *other.window_rope));
    compare("rotation of positions", same, true);
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
    if (window(a) != window(b) || a.rotary != b.rotary || !is_close(a.score_scale, b.score_scale)) {
      return {fmt::format("attention of layer {}", i)};
    }
  }
  return {};
}

}  // namespace

bool has_windows(const ModelSpec& spec) {
  return std::ranges::any_of(spec.layer_specs, [](const LayerSpec& layer) { return layer.window > 0; });
}

std::int64_t gguf_context_length(const ModelSpec& spec) {
  std::int64_t out = spec.max_positions;
  if (architecture_for(spec).windows == GgufWindows::none) {
    for (const LayerSpec& layer : spec.layer_specs) {
      out = layer.window > 0 ? std::min(out, layer.window) : out;
    }
  }
  return out;
}

std::vector<GgufKey> gguf_model_keys(const ModelSpec& spec, const std::string& name, GgufFileType type) {
  const GgufArchitecture& architecture = architecture_for(spec);
  check_readers(spec, architecture);
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
  if (!spec.fused_qkv || architecture.model_type == "phi3") {
    keys.push_back({prefix + "attention.head_count_kv", whole(spec.kv_heads)});
  }
  if (!spec.fused_qkv) {
    keys.push_back({prefix + "attention.key_length", whole(spec.head_dim)});
    keys.push_back({prefix + "attention.value_length", whole(spec.head_dim)});
  }
  keys.push_back({prefix + std::string(architecture.epsilon), spec.norm_eps});
  keys.push_back({prefix + "vocab_size", whole(spec.vocab)});
  if (!spec.learned_positions) {
    add_gguf_rope_keys(spec, architecture, keys);
  }
  add_own_keys(spec, architecture, prefix, keys);
  if (architecture.windows != GgufWindows::none && has_windows(spec)) {
    add_window_keys(spec, architecture, prefix, keys);
  } else if (architecture.windows == GgufWindows::all) {
    keys.push_back({prefix + "attention.sliding_window", std::uint32_t{0}});
  }
  keys.push_back({"general.file_type", gguf_file_type_number(type)});
  keys.push_back({"general.quantization_version", std::uint32_t{2}});
  return keys;
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
