// Trained rows of the embedding and of the head: where they are, and their parameters.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "src/adapter/parameter.h"
#include "src/core/error.h"
#include "src/model/model_config.h"

namespace lora_dist {

struct Family;

/// The table of the input, or of the logits.
enum class TableSite : std::uint8_t { embedding, head };

/// A table of which all rows are trained, or those of some tokens. The trained rows replace the base's.
struct TrainedTable {
  TableSite site = TableSite::embedding;
  std::vector<std::int32_t> ids;  // of the trained rows, rising; empty: all
  Parameter parameter;            // [vocab, hidden], cut by outputs; or [ids, hidden]
  bool tied = false;              // embedding and head share the rows: `site` is the embedding

  bool is_whole() const { return ids.empty(); }
};

/// The ids whose rows are trained: PEFT's trainable_token_indices. With a tied head those of the embedding are the head's too.
struct TrainedTokens {
  std::vector<std::int64_t> embedding = {};
  std::vector<std::int64_t> head = {};  // of a head of its own

  bool operator==(const TrainedTokens&) const = default;
};

/// The place of a key, for messages: in a configuration, or in a folder's adapter_config.json.
struct KeySource {
  ExitCode code = ExitCode::usage;
  std::string prefix = "adapter.";
};

/// "model.embed_tokens", "lm_head": PEFT's path of the module, also where the head is tied.
std::string table_path(const Family& family, TableSite site);
/// PEFT's path of what holds the table's parameter.
std::string path_of_trained(const Family& family, const TrainedTable& table);

/// A table of which all rows are trained; offsets are left 0.
TrainedTable whole_table(const ModelSpec& model, TableSite site);
/// The tables of single rows. Throws Error for an id outside of the vocabulary or given twice.
std::vector<TrainedTable> tables_of_tokens(const ModelSpec& model, const TrainedTokens& tokens, const KeySource& source = {});

/// The table whose rows serve a site; null if these are the base's.
const TrainedTable* find_table(std::span<const TrainedTable> tables, TableSite site);

}  // namespace lora_dist
