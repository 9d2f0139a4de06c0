// The elements of one weight in the order [out, in], whatever the file's order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernels/common/stream.h"
#include "src/io/safetensors.h"

namespace lora_dist {

/// Throws Error(model) if an element that it reads is not finite.
struct WeightSource {
  const TensorInfo* tensor = nullptr;
  std::vector<std::byte> turned{};                 // the whole tensor, transposed; empty: parts are read from the file on demand
  std::shared_ptr<const TensorInfo> as_in_file{};  // set if the file has [out, in] but the tensor is shown as [in, out] (GGUF)
};

/// `transposed`: the file has [in, out], and the whole matrix is read at once.
WeightSource open_weight(const TensorInfo& tensor, bool transposed);

/// Elements from `begin` on, as f32. `raw`: a read buffer, reused between calls.
void read_as_f32(const WeightSource& source, std::int64_t begin, std::span<float> out, std::vector<std::byte>& raw,
                 const Stream& stream);
/// Bytes from `begin` on, in the file's dtype.
void read_as_is(const WeightSource& source, std::int64_t begin, std::span<std::byte> out);

}  // namespace lora_dist
