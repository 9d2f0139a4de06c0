// Reads weights in parts, or turns a whole matrix.
#include "src/model/weight_source.h"

#include <cstring>

#include "kernels/cast/cast.h"
#include "src/model/finite_weights.h"

namespace lora_dist {

namespace {

/// [rows, cols] to [cols, rows], element by element.
template <class Element>
std::vector<std::byte> transposed_bytes(std::span<const std::byte> bytes, std::size_t rows, std::size_t cols) {
  std::vector<std::byte> out(bytes.size());
  for (std::size_t c = 0; c < cols; ++c) {
    for (std::size_t r = 0; r < rows; ++r) {
      std::memcpy(&out[(c * rows + r) * sizeof(Element)], &bytes[(r * cols + c) * sizeof(Element)], sizeof(Element));
    }
  }
  return out;
}

}  // namespace

WeightSource open_weight(const TensorInfo& tensor, bool transposed) {
  WeightSource source{&tensor, {}};
  if (transposed) {
    std::vector<std::byte> bytes(tensor.bytes);
    read_tensor_bytes(tensor, 0, bytes);
    check_finite(tensor, bytes);
    const auto rows = static_cast<std::size_t>(tensor.shape[0]);
    const auto cols = static_cast<std::size_t>(tensor.shape[1]);
    source.turned = size_of(tensor.dtype) == 4 ? transposed_bytes<std::uint32_t>(bytes, rows, cols)
                                               : transposed_bytes<std::uint16_t>(bytes, rows, cols);
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
