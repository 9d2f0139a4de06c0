// Finds norms by the names of their modules.
#include "src/adapter/trained_norm.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "src/adapter/path_pattern.h"
#include "src/adapter/tensor_roles.h"
#include "src/core/error.h"
#include "src/model/family.h"
#include "src/model/tensor_table.h"

namespace lora_dist {

namespace {

constexpr std::array<NormSite, 4> kNormsOfBlock = {NormSite::attention, NormSite::mlp, NormSite::attention_out,
                                                   NormSite::mlp_out};

std::string_view norm_name(const TensorNames& names, NormSite site) {
  switch (site) {
    case NormSite::attention:
      return names.attention_norm;
    case NormSite::mlp:
      return names.mlp_norm;
    case NormSite::attention_out:
      return names.attention_out_norm;
    case NormSite::mlp_out:
      return names.mlp_out_norm;
    case NormSite::last:
      break;
  }
  return names.final_norm;
}

bool has_norm(const ModelSpec& model, NormSite site) {
  switch (site) {
    case NormSite::attention:
      return model.norm_before;
    case NormSite::mlp:
      return model.norm_before && !model.shared_norm;
    case NormSite::attention_out:
    case NormSite::mlp_out:
      return model.norm_after;
    case NormSite::last:
      break;
  }
  return true;
}

bool is_norm_target(const std::string& target, const std::string& path) {
  return is_regular_expression(target) ? path_matches(target, path) : ends_with_name(path, target);
}

}  // namespace

std::vector<TrainedNorm> all_norms(const ModelSpec& model) {
  std::vector<Parameter> parameters = {{kNormWeight, {model.hidden}}};
  if (model.norm == Norm::layer && model.norm_bias) {
    parameters.push_back({kNormBias, {model.hidden}});
  }
  std::vector<TrainedNorm> norms;
  for (std::int64_t layer = 0; layer < model.layers; ++layer) {
    for (const NormSite site : kNormsOfBlock) {
      if (has_norm(model, site)) {
        norms.push_back({site, layer, parameters});
      }
    }
  }
  norms.push_back({NormSite::last, 0, parameters});
  return norms;
}

std::string norm_path(const Family& family, NormSite site, std::int64_t layer) {
  return path_of(norm_name(family.names, site), layer);
}

std::vector<TrainedNorm> match_norms(const ModelSpec& model, const std::vector<std::string>& target_modules) {
  const std::vector<TrainedNorm> all = all_norms(model);
  std::vector<bool> matched(all.size());
  for (const std::string& target : target_modules) {
    if (const std::string problem = is_regular_expression(target) ? problem_of_pattern(target) : ""; !problem.empty()) {
      throw Error(ExitCode::usage, fmt::format("adapter.target_modules: \"{}\" {}", target, problem));
    }
    bool any = false;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (is_norm_target(target, norm_path(*model.family, all[i].site, all[i].layer))) {
        matched[i] = any = true;
      }
    }
    if (!any) {
      throw Error(
          ExitCode::usage,
          fmt::format("adapter.target_modules: \"{}\" matches no norm that ln_tuning trains in this {} model; there are {}",
                      target, model.model_type, fmt::join(norm_names(*model.family, all_norms(model), model.layers), ", ")));
    }
  }
  std::vector<TrainedNorm> norms;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (matched[i]) {
      norms.push_back(all[i]);
    }
  }
  return norms;
}

std::vector<std::string> default_norms(const ModelSpec& model) {
  if (model.model_type == "qwen2" || model.model_type == "qwen3") {
    return {"post_attention_layernorm"};
  }
  return norm_names(*model.family, all_norms(model), model.layers);
}

std::vector<std::string> norm_names(const Family& family, std::span<const TrainedNorm> norms, std::int64_t layers) {
  std::vector<std::string> names;
  for (const TrainedNorm& norm : norms) {
    const auto of_site = std::ranges::count(norms, norm.site, &TrainedNorm::site);
    const std::string path = norm_path(family, norm.site, norm.layer);
    const bool everywhere = norm.site == NormSite::last || of_site == layers;
    const std::string name = everywhere ? path.substr(path.rfind('.') + 1) : path;
    if (std::ranges::find(names, name) == names.end()) {
      names.push_back(name);
    }
  }
  return names;
}

const TrainedNorm* find_norm(std::span<const TrainedNorm> norms, NormSite site, std::int64_t layer) {
  const auto found =
      std::ranges::find_if(norms, [&](const TrainedNorm& norm) { return norm.site == site && norm.layer == layer; });
  return found == norms.end() ? nullptr : &*found;
}

}  // namespace lora_dist
