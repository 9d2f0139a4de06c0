// Writes a model folder with quantized blocks, once for many training runs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "kernels/common/stream.h"
#include "src/base/base_format.h"

namespace lora_dist {

/// Writes `target` (an existing folder): base_store.h5 with every tensor of `model`, the matrices of the blocks quantized as
/// `format` says (nf4 or fp4) and under bitsandbytes' names, all else unchanged; also copies the other files of `model`.
/// Prequantized weights are kept. One tensor is in memory at a time. The codes equal those that training makes from `model`.
/// Calls `on_tensor(done, all)`. Throws Error(model).
void write_base_store(const std::filesystem::path& model, const std::filesystem::path& target, const BaseFormat& format,
                      const Stream& stream, const std::function<void(std::int64_t, std::int64_t)>& on_tensor);

}  // namespace lora_dist
