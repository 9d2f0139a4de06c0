// lora_dist export --for gguf: the model, with adapters merged, as a GGUF file.
#pragma once

#include <filesystem>
#include <string>

#include "src/commands/export_options.h"
#include "src/report/console.h"

namespace lora_dist {

/// Writes options.merge.output and prints what is in it. A failure leaves nothing behind. Collective; rank 0 writes. Throws
/// Error(model) for what a GGUF file cannot say, before the weights are read.
void export_gguf(Communicator& world, const ProcessInfo& process, const ExportOptions& options, const Console& console);

/// Renames a finished file to its place, and syncs. Throws Error(model).
void commit_file(const std::filesystem::path& file, const std::filesystem::path& output);

/// Throws Error(usage) if the output is already there.
void check_output_is_new(const std::string& output);

}  // namespace lora_dist
