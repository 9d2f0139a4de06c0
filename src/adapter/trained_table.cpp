// Makes and finds trained tables.
#include "src/adapter/trained_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/adapter/tensor_roles.h"
#include "src/model/family.h"

namespace lora_dist {

namespace {

/// The ids in rising order.
std::vector<std::int32_t> checked_ids(const ModelSpec& model, const std::vector<std::int64_t>& ids, const KeySource& source) {
  std::vector<std::int32_t> sorted;
  for (const std::int64_t id : ids) {
    if (id < 0 || id >= model.vocab) {
      throw Error(source.code,
                  fmt::format("{}trainable_token_indices: {} is not the id of a token; this model has ids from 0 to {}",
                              source.prefix, id, model.vocab - 1));
    }
    sorted.push_back(static_cast<std::int32_t>(id));
  }
  std::ranges::sort(sorted);
  if (const auto twice = std::ranges::adjacent_find(sorted); twice != sorted.end()) {
    throw Error(source.code, fmt::format("{}trainable_token_indices names {} twice; name it once", source.prefix, *twice));
  }
  return sorted;
}

TrainedTable rows_of_table(const ModelSpec& model, TableSite site, const std::vector<std::int32_t>& ids) {
  TrainedTable table{site, ids, {}};
  table.parameter = {kTokenRows, {std::ssize(table.ids), model.hidden}};
  return table;
}

}  // namespace

std::string table_path(const Family& family, TableSite site) {
  return std::string(site == TableSite::embedding ? family.names.embedding : family.names.heads[0]);
}

std::string path_of_trained(const Family& family, const TrainedTable& table) {
  return table_path(family, table.site) + (table.is_whole() ? "" : std::string(kTokenAdapter));
}

TrainedTable whole_table(const ModelSpec& model, TableSite site) {
  return {site, {}, {kSavedWeight, {model.vocab, model.hidden}, TpCut::outputs}};
}

std::vector<TrainedTable> tables_of_tokens(const ModelSpec& model, const TrainedTokens& tokens, const KeySource& source) {
  std::vector<TrainedTable> tables;
  if (!tokens.embedding.empty()) {
    tables.push_back(rows_of_table(model, TableSite::embedding, checked_ids(model, tokens.embedding, source)));
    tables.back().tied = model.tied_head;
  }
  if (!tokens.head.empty()) {
    tables.push_back(rows_of_table(model, TableSite::head, checked_ids(model, tokens.head, source)));
  }
  return tables;
}

const TrainedTable* find_table(std::span<const TrainedTable> tables, TableSite site) {
  const auto found = std::ranges::find_if(tables, [&](const TrainedTable& table) { return table.site == site || table.tied; });
  return found == tables.end() ? nullptr : &*found;
}

}  // namespace lora_dist
