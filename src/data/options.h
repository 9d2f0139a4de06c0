// The [data] section as plain values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "src/core/choices.h"

namespace lora_dist {

struct DataOptions {
  std::vector<std::filesystem::path> train, validation;
  double validation_split = 0.05;           // of the training samples; without effect when there are validation files
  std::optional<RowKind> format;            // none: "auto"
  std::optional<RowTemplate> row_template;  // likewise
  TrainOn train_on = TrainOn::completion;
  int max_length = 1024;  // tokens of a sample, and of a packed sequence
  bool packing = true;
  bool shuffle = true;
  Overlong overlong = Overlong::truncate;
  BadRows bad_rows = BadRows::error;
  std::int64_t max_bad_rows = 100;  // skipped rows over all files; 0: no limit
  std::string template_day{};       // that chat templates are told, as "2026-11-26"; empty: today
  bool show_text = true;            // reports and errors may quote the data; not part of the token cache's key
  std::uint64_t seed = 42;
};

}  // namespace lora_dist
