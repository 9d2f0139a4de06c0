// Reads weights in parts, or transposes a whole matrix.
#include "src/base/weight_source.h"

#include <cstring>

#include "kernels/elementwise/elementwise.h"
#include "src/base/finite_weights.h"
#include "src/base/transpose_elements.h"
#include "src/io/gguf_tensor.h"

namespace lora_dist {

WeightSource open_weight(const TensorInfo& tensor, bool transposed) {
  WeightSource source{&tensor};
  if (transposed && tensor.gguf && tensor.gguf->order == GgufOrder::transposed) {
    source.as_in_file = std::make_shared<const TensorInfo>(as_in_gguf(tensor));
    source.tensor = source.as_in_file.get();
  } else if (transposed) {
    std::vector<std::byte> bytes(tensor.bytes);
    read_tensor_bytes(tensor, 0, bytes);
    check_finite(tensor, bytes);
    const auto rows = static_cast<std::size_t>(tensor.shape[0]);
    const auto cols = static_cast<std::size_t>(tensor.shape[1]);
    source.turned.resize(bytes.size());
    size_of(tensor.dtype) == 4 ? transpose_elements<4>(bytes, rows, cols, source.turned)
                               : transpose_elements<2>(bytes, rows, cols, source.turned);
  }
  return source;
}

void read_as_is(const WeightSource& source, std::int64_t begin, std::span<std::byte> out) {
  if (source.turned.empty()) {
    read_tensor_bytes(*source.tensor, static_cast<std::uint64_t>(begin), out);
    check_finite(*source.tensor, out);
    return;
  }
  std::memcpy(out.data(), source.turned.data() + begin, out.size());
}

void read_as_f32(const WeightSource& source, std::int64_t begin, std::span<float> out, std::vector<std::byte>& raw,
                 const Stream& stream) {
  const DType dtype = source.tensor->dtype;
  const auto width = static_cast<std::int64_t>(size_of(dtype));
  if (dtype == DType::f32) {
    read_as_is(source, begin * width, std::as_writable_bytes(out));
    return;
  }
  raw.resize(out.size() * static_cast<std::size_t>(width));
  read_as_is(source, begin * width, raw);
  const Shape shape{static_cast<std::int64_t>(out.size())};
  cast({raw.data(), dtype, shape}, view(out.data(), shape), stream);
}

}  // namespace lora_dist
