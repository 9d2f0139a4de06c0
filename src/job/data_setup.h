// Loads data as the [data] section and the model's folder require.
#pragma once

#include <filesystem>
#include <optional>

#include "src/config/config.h"
#include "src/data/options.h"
#include "src/data/report.h"
#include "src/model/model_config.h"
#include "src/report/console.h"
#include "src/tokenizer/tokenizer.h"

namespace lora_dist {

/// The section as plain values, with the seed of training.
DataOptions data_options(const Config& config);

/// Writes the skipped rows (data.bad_rows = "skip") to `output`/bad_rows.jsonl, a line {"file", "row", "reason"} each; no file
/// without such rows. Called by one rank. Throws Error(usage).
void write_bad_rows(const DatasetReport& report, const std::filesystem::path& output);

/// Lowers data.max_length to the model's number of positions, less those of an adapter's virtual tokens, with a warning. Throws
/// Error(usage) if these leave none.
void fit_max_length(Config& config, const ModelSpec& spec, std::int64_t virtual_tokens, const Console& console);

/// Empty if the folder has no tokenizer, which is enough for data given as input_ids. Throws Error(model) as open_tokenizer, and
/// for a vocabulary larger than the embedding; added tokens beyond the embedding get a note. `own`: another folder's tokenizer in
/// place of the model's; empty: that.
std::optional<Tokenizer> open_model_tokenizer(const std::filesystem::path& folder, const ModelSpec& spec,
                                              const std::filesystem::path& own = {});

/// Prints which settings of the tokenizer's folder are not applied.
void tell_tokenizer_notes(const std::optional<Tokenizer>& tokenizer, const Console& console);

}  // namespace lora_dist
