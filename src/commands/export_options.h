// The options of export.
#pragma once

#include <optional>

#include "src/commands/command.h"
#include "src/commands/merge_options.h"
#include "src/convert/adapter_readers.h"
#include "src/convert/gguf_recipe.h"

namespace lora_dist {

struct ExportOptions {
  MergeOptions merge;  // model, adapters, output, onto, base
  std::optional<Reader> reader;
  std::optional<GgufFileType> type;  // of gguf
  bool check = false;                // only tells what each reader would make of the adapter
};

void describe_export_options(CommandUse& use, ExportOptions& options);
/// Throws Error(usage, collective).
void check_export_options(const ExportOptions& options);

}  // namespace lora_dist
