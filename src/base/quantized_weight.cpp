// Calls the operators of each format.
#include "src/base/quantized_weight.h"

#include <algorithm>

#include "kernels/quantize/quantize_4bit.h"
#include "kernels/quantize/quantize_absmax.h"
#include "kernels/quantize/quantize_int8.h"
#include "src/base/block_layout.h"

namespace lora_dist {

namespace {

/// The mean, summed in double and in order (bitsandbytes sums in f32, in another order).
float mean_of(std::span<const float> absmax) {
  double sum = 0.0;
  for (const float value : absmax) {
    sum += static_cast<double>(value);
  }
  return static_cast<float>(sum / static_cast<double>(absmax.size()));
}

/// The scales as f32 again.
std::vector<float> scales_of(const KeptScales& kept, std::span<const float> absmax, const BaseFormat& format,
                             const Stream& stream) {
  std::vector<float> scales(absmax.begin(), absmax.end());
  if (format.nested()) {
    dequantize_absmax({kept.absmax.data(), DType::u8, {static_cast<std::int64_t>(absmax.size())}}, view(std::span(kept.nested)),
                      kept.offset, view(std::span(scales)), stream);
  }
  return scales;
}

}  // namespace

void quantize_blocks(std::span<const float> values, std::int64_t cols, const BaseFormat& format, std::span<std::byte> codes,
                     std::span<float> absmax, const Stream& stream) {
  if (format.quantization == Quantization::int8) {
    const Shape shape{static_cast<std::int64_t>(absmax.size()), cols};
    quantize_int8(view(values.data(), shape), {codes.data(), DType::i8, shape}, view(absmax), stream);
  } else {
    quantize_4bit(view(values), format.block_size, {codes.data(), DType::u8, {static_cast<std::int64_t>(codes.size())}},
                  view(absmax), format.code(), stream);
  }
}

KeptScales keep_scales(std::span<const float> absmax, const BaseFormat& format, const Stream& stream) {
  KeptScales kept;
  if (!format.nested() || absmax.empty()) {
    const auto bytes = std::as_bytes(absmax);
    kept.absmax.assign(bytes.begin(), bytes.end());
    return kept;
  }
  const auto count = static_cast<std::int64_t>(absmax.size());
  kept.absmax.resize(absmax.size());
  kept.nested.resize(static_cast<std::size_t>(divide_up(count, kNestedBlock)));
  kept.offset = mean_of(absmax);
  quantize_absmax(view(absmax), kept.offset, {kept.absmax.data(), DType::u8, {count}}, view(std::span(kept.nested)), stream);
  return kept;
}

void quantize_and_back(std::span<float> values, std::int64_t cols, const BaseFormat& format, const Stream& stream) {
  if (format.quantization == Quantization::none || values.empty()) {
    return;
  }
  const auto elements = static_cast<std::int64_t>(values.size());
  const std::int64_t blocks = divide_up(elements, format.scale_elements(cols));
  std::vector<std::byte> codes(static_cast<std::size_t>(format.code_bytes(elements)));
  std::vector<float> absmax(static_cast<std::size_t>(blocks));
  quantize_blocks(values, cols, format, codes, absmax, stream);
  if (format.quantization == Quantization::int8) {
    const Shape shape{blocks, cols};
    dequantize_int8({codes.data(), DType::i8, shape}, view(std::span(absmax)), view(values.data(), shape), stream);
    return;
  }
  const std::vector<float> scales = scales_of(keep_scales(absmax, format, stream), absmax, format, stream);
  dequantize_4bit({.codes = {codes.data(), DType::u8, {static_cast<std::int64_t>(codes.size())}},
                   .absmax = view(std::span(scales)),
                   .block_size = format.block_size,
                   .code = format.code()},
                  view(values), stream);
}

}  // namespace lora_dist
