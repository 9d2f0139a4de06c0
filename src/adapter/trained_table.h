// Trained rows of the embedding and of the head: where they are, and their parameters.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/adapter/parameter.h"

namespace lora_dist {

/// The table of the input, or of the logits.
enum class TableSite : std::uint8_t { embedding, head };

/// A table of which all rows are trained, or those of some tokens. The trained rows replace the base's.
struct TrainedTable {
  TableSite site = TableSite::embedding;
  std::vector<std::int32_t> ids;  // of the trained rows; empty: all
  Parameter parameter;            // [vocab, hidden], cut by outputs; or [ids, hidden]
  bool tied = false;              // embedding and head share the rows: `site` is the embedding
};

/// The table whose rows serve a site; null if these are the base's.
const TrainedTable* find_table(std::span<const TrainedTable> tables, TableSite site);

}  // namespace lora_dist
