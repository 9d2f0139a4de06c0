// What the [data] section and the model's folder mean for loading data.
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

/// The section as plain values; the seed is the training's.
DataOptions data_options(const Config& config);

/// Rows that were left out (data.bad_rows = "skip") as `output`/bad_rows.jsonl: a line {"file", "row", "reason"} each; no file
/// where there are none. Called by one rank. Throws Error(usage).
void write_bad_rows(const DatasetReport& report, const std::filesystem::path& output);

/// Lowers data.max_length to the model's positions, with a warning.
void fit_max_length(Config& config, const ModelSpec& spec, const Console& console);

/// Nothing where the folder has none: it serves data given as input_ids. Throws Error(model) as open_tokenizer does, and for a
/// vocabulary that the embedding has no rows for; added tokens beyond it are a note.
std::optional<Tokenizer> open_model_tokenizer(const std::filesystem::path& folder, const ModelSpec& spec);

/// Shows what the tokenizer's folder asks for and is not done.
void tell_tokenizer_notes(const std::optional<Tokenizer>& tokenizer, const Console& console);

}  // namespace lora_dist
