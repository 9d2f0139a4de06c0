// Finds modules by PEFT's rule of modules_to_save.
#include "src/adapter/modules_to_save.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "src/adapter/tensor_roles.h"
#include "src/model/family.h"
#include "src/model/tensor_table.h"

namespace lora_dist {

namespace {

/// The paths of modules that are not saved whole: linears, norms of heads, positions, and what contains other modules.
std::set<std::string> other_modules(const ModelSpec& model) {
  const TensorNames& names = model.family->names;
  std::set<std::string> paths;
  for (std::int64_t layer = 0; layer < model.layers; ++layer) {
    for (const Linear linear : kAllLinears) {
      paths.insert(linear_shape(model, linear).out > 0 ? module_path(*model.family, layer, linear) : std::string());
    }
    paths.insert(path_of(names.q_norm, layer));
    paths.insert(path_of(names.k_norm, layer));
  }
  paths.insert(std::string(names.positions));
  for (const std::string& path : std::set<std::string>(paths)) {
    for (std::size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', dot + 1)) {
      paths.insert(path.substr(0, dot));
    }
  }
  paths.erase("");
  return paths;
}

std::vector<TrainedNorm> saved_norms(const ModelSpec& model) {
  std::vector<TrainedNorm> norms = all_norms(model);
  for (TrainedNorm& norm : norms) {
    norm.parameters.front().name = kSavedWeight;
    if (norm.parameters.size() > 1) {
      norm.parameters.back().name = kSavedBias;
    }
  }
  return norms;
}

/// Throws Error unless each name matches something, and nothing but what can be saved whole.
void check_saved_names(const ModelSpec& model, const std::vector<std::string>& names, const std::vector<std::string>& possible,
                       const KeySource& source) {
  const std::set<std::string> others = other_modules(model);
  for (const std::string& name : names) {
    const auto matches = [&](const std::string& path) { return path.ends_with(name); };
    const std::string what =
        fmt::format("what can be trained whole is the embedding ({}), the head ({}) and the norms of the hidden size ({})",
                    table_path(*model.family, TableSite::embedding), table_path(*model.family, TableSite::head),
                    fmt::join(norm_names(*model.family, all_norms(model), model.layers), ", "));
    if (const auto other = std::ranges::find_if(others, matches); other != others.end()) {
      throw Error(source.code, fmt::format("{}modules_to_save: \"{}\" also matches {}, as every path that ends so; {}; write a "
                                           "longer ending",
                                           source.prefix, name, *other, what));
    }
    if (std::ranges::none_of(possible, matches)) {
      throw Error(source.code, fmt::format("{}modules_to_save: \"{}\" matches no module of this {} model; {}", source.prefix,
                                           name, model.model_type, what));
    }
  }
}

}  // namespace

bool is_saved_module(const std::vector<std::string>& names, const std::string& path) {
  return std::ranges::any_of(names, [&](const std::string& name) { return path.ends_with(name); });
}

SavedModules match_modules_to_save(const ModelSpec& model, const std::vector<std::string>& names, bool tie,
                                   const KeySource& source) {
  SavedModules saved;
  std::vector<std::string> possible;
  for (const TableSite site : {TableSite::embedding, TableSite::head}) {
    possible.push_back(table_path(*model.family, site));
    if (is_saved_module(names, possible.back())) {
      saved.tables.push_back(whole_table(model, site));
    }
  }
  for (const TrainedNorm& norm : saved_norms(model)) {
    possible.push_back(norm_path(*model.family, norm.site, norm.layer));
    if (is_saved_module(names, possible.back())) {
      saved.norms.push_back(norm);
    }
  }
  check_saved_names(model, names, possible, source);
  if (tie && model.tied_head && !saved.tables.empty()) {
    saved.tables = {whole_table(model, TableSite::embedding)};
    saved.tables.front().tied = true;
  }
  return saved;
}

}  // namespace lora_dist
