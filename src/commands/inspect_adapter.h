// lora_dist inspect ADAPTER: a summary of an adapter, and its tensors.
#pragma once

#include <filesystem>

#include "src/adapter/peft_adapter.h"
#include "src/report/console.h"

namespace lora_dist {

/// The Frobenius norm of scale * B A, without making the product.
double norm_of_update(const AdapterMatrix& a, const AdapterMatrix& b, double scale);

/// Prints method, base, ranks, targets and the norms of the updates; `tensors`: also each tensor's name, shape and norm;
/// `verify`: the file's SHA-256. Throws Error(model) as read_peft_adapter.
void inspect_adapter(const std::filesystem::path& folder, bool tensors, bool verify, const Console& console);

}  // namespace lora_dist
