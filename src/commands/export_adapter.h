// lora_dist export --for peft|vllm|llama.cpp, and --check: adapters for other programs.
#pragma once

#include "src/commands/export_options.h"
#include "src/report/console.h"

namespace lora_dist {

/// Writes options.merge.output (a folder; for llama.cpp a file) and prints how the reader is told to use it. A failure leaves
/// nothing behind. Throws Error(model) for what the reader would not take, or would compute otherwise, with the way out.
/// Collective; rank 0 writes.
void export_adapter(Communicator& world, const ExportOptions& options, const Console& console);

/// Prints a line for each reader (that of --for alone, where it is given). Throws Error(model) if the reader of --for does not
/// take the adapter in any form.
void check_adapter(Communicator& world, const ExportOptions& options, const Console& console);

}  // namespace lora_dist
