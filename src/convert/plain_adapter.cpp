// Scales, ranks and the order of rows.
#include "src/convert/plain_adapter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "src/adapter/adalora_folder.h"
#include "src/adapter/tensor_roles.h"
#include "src/convert/gguf_model_keys.h"
#include "src/core/error.h"
#include "src/io/gguf_architecture.h"
#include "src/io/gguf_tensor.h"

namespace lora_dist {
namespace {

/// A with zero rows, or B with zero columns, up to `rank`.
AdapterMatrix padded(const AdapterMatrix& matrix, bool is_a, std::int64_t rank) {
  AdapterMatrix out = matrix;
  if (is_a) {
    out.shape[0] = rank;
    out.values.resize(static_cast<std::size_t>(rank * out.shape[1]), 0.0F);
    return out;
  }
  const std::int64_t own = matrix.shape[1];
  out.shape[1] = rank;
  out.values.assign(static_cast<std::size_t>(out.shape[0] * rank), 0.0F);
  for (std::int64_t row = 0; row < out.shape[0]; ++row) {
    std::copy_n(matrix.values.begin() + row * own, own, out.values.begin() + row * rank);
  }
  return out;
}

std::int64_t largest_rank(const PeftAdapter& adapter) {
  std::int64_t rank = 1;
  for (const auto& [name, matrix] : adapter.tensors) {
    rank = std::max(rank, path_and_role(name).second == kLoraA ? matrix.shape[0] : matrix.shape[1]);
  }
  return rank;
}

/// The scale that most modules have.
double common_scale(const PeftAdapter& adapter) {
  std::map<double, int> counts;
  for (const auto& [name, matrix] : adapter.tensors) {
    ++counts[scale_of(adapter.config, path_and_role(name).first)];
  }
  const auto most = std::ranges::max_element(counts, {}, [](const auto& entry) { return entry.second; });
  return most == counts.end() ? 1.0 : most->first;
}

/// The alpha that needs no other factors: with ranks of their own, that of plain LoRA where it is that.
double alpha_for(const PeftAdapter& adapter, PlainRanks ranks, std::int64_t rank) {
  const PeftConfig& config = adapter.config;
  const bool plain = !config.use_rslora && config.alpha_pattern.empty();
  if (plain && (ranks == PlainRanks::own || config.rank_pattern.empty())) {
    return config.alpha;
  }
  return common_scale(adapter) * static_cast<double>(rank);
}

bool is_one(double factor) {
  constexpr double kRoundoff = 1e-12;
  return std::abs(factor - 1.0) < kRoundoff;
}

}  // namespace

PeftAdapter plain_adapter(const PeftAdapter& adapter, PlainRanks ranks) {
  PeftAdapter out{adapter.config, {}, {}};
  const std::int64_t largest = largest_rank(adapter);
  out.config.r = largest;
  double alpha = alpha_for(adapter, ranks, largest);
  alpha = alpha == 0.0 ? static_cast<double>(largest) : alpha;  // llama.cpp takes 0 for "no scaling"
  out.config.alpha = alpha;
  out.config.use_rslora = false;
  out.config.rank_pattern.clear();
  out.config.alpha_pattern.clear();
  out.config.target_pattern.clear();
  out.config.layers_to_transform.clear();
  out.config.layers_pattern.clear();
  std::set<std::string> names;
  for (const auto& [name, matrix] : adapter.tensors) {
    const std::string path = path_and_role(name).first;
    const bool is_a = path_and_role(name).second == kLoraA;
    const std::int64_t own = is_a ? matrix.shape[0] : matrix.shape[1];
    const std::int64_t rank = ranks == PlainRanks::same ? largest : own;
    AdapterMatrix written = rank == own ? matrix : padded(matrix, is_a, rank);
    const double factor = scale_of(adapter.config, path) * static_cast<double>(rank) / alpha;
    if (!is_a && !is_one(factor)) {
      std::ranges::transform(written.values, written.values.begin(),
                             [&](float value) { return static_cast<float>(static_cast<double>(value) * factor); });
    }
    out.tensors.emplace(name, std::move(written));
    names.insert(path.substr(path.rfind('.') + 1));
  }
  out.config.target_modules.assign(names.begin(), names.end());
  return out;
}

bool becomes_lora(const PeftAdapter& adapter) { return adapter.config.method == Method::adalora; }

PeftAdapter lora_of(const PeftAdapter& adapter) {
  PeftAdapter out{adapter.config, {}, adapter.tables};
  std::int64_t largest = 1;
  for (const std::string& path : adapted_paths(adapter)) {
    largest = std::max(largest, adapter.tensors.at(tensor_of(path, kLoraA)).shape[0]);
  }
  out.config.method = Method::lora;
  out.config.kept_ranks.clear();
  out.config.r = largest;
  out.config.alpha = scale_of(adapter.config, "") * static_cast<double>(largest);  // all modules have one scale
  out.config.target_pattern.clear();
  out.config.target_modules.clear();
  for (const std::string& path : adapted_paths(adapter)) {
    const AdaptedModule module{&adapter, path};
    if (module.tensor(kLoraA).shape[0] > 0) {
      out.tensors.emplace(tensor_of(path, kLoraA), padded(scaled_factor_a(module), true, largest));
      out.tensors.emplace(tensor_of(path, kLoraB), padded(module.tensor(kLoraB), false, largest));
      out.config.target_modules.push_back(path);
    }
  }
  return out;
}

std::vector<GgufKey> gguf_adapter_keys(const PeftAdapter& plain, const ModelSpec& spec, const std::string& name) {
  gguf_context_length(spec);  // refuses families without an architecture
  return {{"general.architecture", std::string(find_gguf_architecture(spec.model_type)->name)},
          {"general.type", std::string("adapter")},
          {"adapter.type", std::string("lora")},
          {"general.name", name},
          {"adapter.lora.alpha", static_cast<float>(plain.config.alpha)},
          {"general.quantization_version", std::uint32_t{2}}};
}

std::vector<GgufFactor> gguf_adapter_factors(const PeftAdapter& plain, const ModelSpec& spec,
                                             const std::filesystem::path& folder) {
  const GgufArchitecture& architecture = *find_gguf_architecture(spec.model_type);
  const GgmlType* f32 = find_ggml_type(0);
  std::vector<GgufFactor> out;
  for (const auto& [name, matrix] : plain.tensors) {
    const std::string path = path_and_role(name).first;
    auto place = gguf_place(architecture, path + ".weight", 2, spec.heads, spec.kv_heads);
    if (!place) {
      throw Error(ExitCode::model,
                  fmt::format("{}: it adapts {}, which has no place in GGUF files of architecture {}; merge the adapter and use "
                              "the merged model",
                              folder.string(), path, architecture.name));
    }
    if (place->source.order == GgufOrder::transposed) {
      place->source.order = GgufOrder::as_is;  // GPT-2's weights are turned, PEFT's factors are [r, in] and [out, r] already
    }
    const bool is_a = path_and_role(name).second == kLoraA;
    GgufFactor factor{{place->name + (is_a ? ".lora_a" : ".lora_b"), f32, matrix.shape}, matrix.values};
    if (!is_a) {
      factor.values = in_gguf_order(place->source, matrix.shape, std::move(factor.values));
    }
    out.push_back(std::move(factor));
  }
  return out;
}

}  // namespace lora_dist
