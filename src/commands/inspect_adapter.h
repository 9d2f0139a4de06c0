// lora_dist inspect ADAPTER: a summary of an adapter, and its tensors.
#pragma once

#include <filesystem>

#include "src/report/console.h"

namespace lora_dist {

/// Prints method, base, ranks, targets and the norms of the updates; `tensors`: also each tensor's name, shape and norm;
/// `verify`: the file's SHA-256. Throws Error(model) as read_peft_adapter.
void inspect_adapter(const std::filesystem::path& folder, bool tensors, bool verify, const Console& console);

}  // namespace lora_dist
