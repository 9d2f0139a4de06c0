// Names, keys and places of trained copies and rows.
#include "src/adapter/trained_modules_folder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "src/adapter/modules_to_save.h"
#include "src/adapter/peft_names.h"
#include "src/adapter/tensor_roles.h"
#include "src/core/error.h"
#include "src/model/family.h"

namespace lora_dist {

namespace {

using nlohmann::json;

constexpr std::string_view kBiasSuffix = ".bias";

std::vector<std::int64_t> ids_in(const ConfigReader& file, const json& value) {
  std::vector<std::int64_t> ids;
  for (const json& id : value.is_array() ? value : json::array({value})) {
    if (!id.is_number_integer()) {
      file.refuse(fmt::format("trainable_token_indices must be a list of token ids, or such lists by module (got {})",
                              value.dump().substr(0, 40)));
    }
    ids.push_back(id.get<std::int64_t>());
  }
  return ids;
}

/// `text` without `ending`; empty if it does not end so.
std::string without_ending(const std::string& text, std::string_view ending) {
  return text.size() > ending.size() && text.ends_with(ending) ? text.substr(0, text.size() - ending.size()) : std::string();
}

std::string without_prefix(const std::string& name) {
  return name.starts_with(kPeftPrefix) ? name.substr(kPeftPrefix.size()) : std::string();
}

KeySource source_of(const std::string& folder) { return {ExitCode::model, folder + "/adapter_config.json: "}; }

/// The ids by table. With a tied head, ids of both must be the same.
TrainedTokens tokens_of(const PeftConfig& config, const ModelSpec& model, const std::string& folder) {
  TrainedTokens tokens;
  for (const auto& [module, ids] : config.token_indices) {
    const bool is_head = !module.empty() && table_path(*model.family, TableSite::head).ends_with(module);
    if (!is_head && !table_path(*model.family, TableSite::embedding).ends_with(module)) {
      throw Error(ExitCode::model, fmt::format("{}/adapter_config.json: trainable_token_indices names {}, which is neither the "
                                               "embedding nor the head of this model",
                                               folder, module));
    }
    (is_head ? tokens.head : tokens.embedding) = ids;
  }
  if (model.tied_head && !tokens.embedding.empty() && !tokens.head.empty() && tokens.embedding != tokens.head) {
    throw Error(ExitCode::model, fmt::format("{}/adapter_config.json: trainable_token_indices has other tokens for the head than "
                                             "for the embedding, which are one table in this model; train the same of both",
                                             folder));
  }
  if (model.tied_head && !tokens.embedding.empty()) {
    tokens.head.clear();
  }
  return tokens;
}

/// Checks one tensor of the layout, and notes that it has its place.
void place(const PeftAdapter& adapter, const std::string& path, const Parameter& parameter, const std::string& folder,
           std::set<std::string>& placed) {
  const std::string name = tensor_of(path, parameter.name);
  const auto found = adapter.replaced.find(name);
  if (found == adapter.replaced.end()) {
    throw Error(ExitCode::model,
                fmt::format("{}: there is no tensor {}, which adapter_config.json promises; the adapter was not saved whole, or "
                            "belongs to another model",
                            folder, replaced_disk_name(name)));
  }
  std::vector<std::int64_t> needed(parameter.shape.dims.begin(), parameter.shape.dims.begin() + parameter.shape.rank);
  if (found->second.shape != needed) {
    throw Error(ExitCode::model,
                fmt::format("{}: tensor {} has shape [{}], this model needs [{}]; the adapter belongs to another model", folder,
                            replaced_disk_name(name), fmt::join(found->second.shape, ", "), fmt::join(needed, ", ")));
  }
  placed.insert(name);
}

/// A tied table is saved under both names.
void place_second_name(const PeftAdapter& adapter, const ModelSpec& model, const TrainedTable& table, const std::string& folder,
                       std::set<std::string>& placed) {
  TrainedTable of_head = table;
  of_head.site = TableSite::head;
  const std::string first = tensor_of(path_of_trained(*model.family, table), table.parameter.name);
  const std::string second = tensor_of(path_of_trained(*model.family, of_head), table.parameter.name);
  const auto found = adapter.replaced.find(second);
  if (!table.tied || found == adapter.replaced.end()) {
    return;
  }
  if (found->second.values != adapter.replaced.at(first).values) {
    throw Error(ExitCode::model, fmt::format("{}: {} and {} differ, and are one table in this model; save the adapter again",
                                             folder, replaced_disk_name(first), replaced_disk_name(second)));
  }
  placed.insert(second);
}

}  // namespace

void read_trained_modules(const ConfigReader& file, PeftConfig& config) {
  std::string one;
  file.modules("modules_to_save", config.modules_to_save, one);
  if (!one.empty()) {
    config.modules_to_save = {one};
  }
  config.ensure_weight_tying = file.flag("ensure_weight_tying", false);
  const json* const value = file.find("trainable_token_indices");
  if (value == nullptr) {
    return;
  }
  if (value->is_object()) {
    for (const auto& [module, ids] : value->items()) {
      config.token_indices[module] = ids_in(file, ids);
    }
  } else if (!value->empty()) {
    config.token_indices[""] = ids_in(file, *value);
  }
}

nlohmann::ordered_json trained_module_keys(const PeftConfig& config) {
  nlohmann::ordered_json keys;
  keys["modules_to_save"] = config.modules_to_save.empty() ? json() : json(config.modules_to_save);
  keys["ensure_weight_tying"] = config.ensure_weight_tying;
  const auto list = config.token_indices.find("");
  keys["trainable_token_indices"] = config.token_indices.empty()         ? json()
                                    : list != config.token_indices.end() ? json(list->second)
                                                                         : json(config.token_indices);
  return keys;
}

std::map<std::string, std::vector<std::int64_t>> token_indices_of(const AdapterLayout& layout) {
  std::map<std::string, std::vector<std::int64_t>> indices;
  for (const TrainedTable& table : layout.tables) {
    if (!table.is_whole()) {
      const std::string path = table_path(*layout.family, table.site);
      indices[path.substr(path.rfind('.') + 1)] = {table.ids.begin(), table.ids.end()};
      if (layout.tables.size() == 1 && table.site == TableSite::embedding) {
        return {{"", indices.begin()->second}};
      }
    }
  }
  return indices;
}

std::string replaced_name(const PeftConfig& config, const std::string& name) {
  const std::string plain = without_prefix(name);
  if (plain.ends_with(fmt::format("{}.{}", kTokenAdapter, kTokenRows))) {
    return plain;
  }
  const std::string path = without_ending(plain, kPeftSuffix);
  const bool both = config.ensure_weight_tying && !config.modules_to_save.empty() && !table_name(name).empty();
  if (!path.empty() && (is_saved_module(config.modules_to_save, path) || both)) {
    return tensor_of(path, kSavedWeight);
  }
  const std::string of_bias = without_ending(plain, kBiasSuffix);
  return !of_bias.empty() && is_saved_module(config.modules_to_save, of_bias) ? tensor_of(of_bias, kSavedBias) : std::string();
}

std::string replaced_disk_name(const std::string& name) {
  if (name.ends_with(kTokenRows)) {
    return std::string(kPeftPrefix) + name;
  }
  for (const auto& [role, suffix] : {std::pair{kSavedWeight, kPeftSuffix}, std::pair{kSavedBias, kBiasSuffix}}) {
    if (const std::string path = without_ending(name, fmt::format(".{}", role)); !path.empty()) {
      return fmt::format("{}{}{}", kPeftPrefix, path, suffix);
    }
  }
  return {};
}

std::string copied_path(const std::string& name) {
  const std::string path = without_ending(without_prefix(name), kPeftSuffix);
  for (const char* ending : {".token_adapter.base_layer", ".original_module", ".modules_to_save"}) {
    if (const std::string of = without_ending(path, ending); !of.empty()) {
      return of;
    }
  }
  return {};
}

void sort_token_rows(PeftAdapter& adapter, const std::filesystem::path& file) {
  for (auto& [name, matrix] : adapter.replaced) {
    if (!name.ends_with(kTokenRows)) {
      continue;
    }
    const auto ids = std::ranges::find_if(adapter.config.token_indices, [&](const auto& entry) {
      return entry.first.empty() || name.substr(0, name.find(kTokenAdapter)).ends_with(entry.first);
    });
    if (ids == adapter.config.token_indices.end() || matrix.shape[0] != std::ssize(ids->second)) {
      throw Error(
          ExitCode::model,
          fmt::format("{}: {} has {} rows, and trainable_token_indices of adapter_config.json other numbers of tokens; save "
                      "the adapter again",
                      file.string(), replaced_disk_name(name), matrix.shape[0]));
    }
    std::vector<std::size_t> order(ids->second.size());
    std::iota(order.begin(), order.end(), 0U);
    std::ranges::sort(order, {}, [&](std::size_t i) { return ids->second[i]; });
    std::vector<float> rows;
    for (const std::size_t i : order) {
      const auto from = matrix.values.begin() + static_cast<std::ptrdiff_t>(i) * matrix.shape[1];
      rows.insert(rows.end(), from, from + matrix.shape[1]);
    }
    matrix.values = std::move(rows);
  }
  for (auto& [module, ids] : adapter.config.token_indices) {
    std::ranges::sort(ids);
  }
}

std::int64_t vocabulary_rows(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "adapter_config.json";
  if (std::error_code ignored; !std::filesystem::exists(file, ignored)) {
    return 0;
  }
  const PeftConfig config = read_adapter_config(file);
  std::int64_t rows = 0;
  for (const auto& [module, ids] : config.token_indices) {
    rows = std::max(rows, ids.empty() ? 0 : *std::ranges::max_element(ids) + 1);
  }
  if (config.modules_to_save.empty()) {
    return rows;
  }
  for (const auto& [name, info] : read_safetensors_header(tensors_file(folder)).tensors) {
    if (!table_name(name).empty() && !replaced_name(config, name).empty() && info.shape.size() == 2) {
      rows = std::max(rows, info.shape[0]);
    }
  }
  return rows;
}

namespace {

/// Throws Error(model) unless every id without a row in the model's files has one in the layout's tables.
void check_added_rows(const ModelSpec& model, const AdapterLayout& layout, const std::string& folder) {
  for (const TableSite site : {TableSite::embedding, TableSite::head}) {
    const TrainedTable* const table = find_table(layout.tables, site);
    if (table != nullptr && table->is_whole()) {
      continue;
    }
    for (std::int64_t id = model.vocab_of_files(); id < model.vocab; ++id) {
      if (table == nullptr || !std::ranges::binary_search(table->ids, id)) {
        throw Error(
            ExitCode::model,
            fmt::format("{}: it has {} token ids, the model {}, and it trains no row of {} for id {}; an adapter of a larger "
                        "vocabulary needs all new rows of embedding and head among its trained tokens or modules_to_save",
                        folder, model.vocab, model.vocab_of_files(), table_path(*model.family, site), id));
      }
    }
  }
}

}  // namespace

void place_replaced(const PeftAdapter& adapter, const ModelSpec& model, const std::string& folder, AdapterLayout& layout,
                    std::set<std::string>& placed) {
  const PeftConfig& config = adapter.config;
  SavedModules saved = match_modules_to_save(model, config.modules_to_save, config.ensure_weight_tying, source_of(folder));
  for (const TrainedNorm& norm : saved.norms) {
    for (const Parameter& parameter : norm.parameters) {
      place(adapter, norm_path(*model.family, norm.site, norm.layer), parameter, folder, placed);
    }
    add_norm(layout, norm);
  }
  for (const TrainedTable& table : tables_of_tokens(model, tokens_of(config, model, folder), source_of(folder))) {
    saved.tables.push_back(table);
  }
  for (const TrainedTable& table : saved.tables) {
    place(adapter, path_of_trained(*model.family, table), table.parameter, folder, placed);
    place_second_name(adapter, model, table, folder, placed);
    add_table(layout, table);
  }
  check_added_rows(model, layout, folder);
}

}  // namespace lora_dist
