// Finds trained tables.
#include "src/adapter/trained_table.h"

#include <algorithm>

namespace lora_dist {

const TrainedTable* find_table(std::span<const TrainedTable> tables, TableSite site) {
  const auto found = std::ranges::find_if(tables, [&](const TrainedTable& table) { return table.site == site || table.tied; });
  return found == tables.end() ? nullptr : &*found;
}

}  // namespace lora_dist
