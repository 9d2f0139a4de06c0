// Quantizes and dequantizes a weight that is whole in memory.
#include "src/model/round_trip.h"

#include <vector>

#include "kernels/nf4/nf4.h"

namespace lora_dist {

void quantize_and_back(std::span<float> values, const BaseFormat& format, const Stream& stream) {
  if (format.quantization == Quantization::none) {
    return;
  }
  const auto elements = static_cast<std::int64_t>(values.size());
  const std::int64_t blocks = (elements + format.block_size - 1) / format.block_size;
  std::vector<std::uint8_t> codes(static_cast<std::size_t>((elements + 1) / 2));
  std::vector<float> absmax(static_cast<std::size_t>(blocks));
  nf4_quantize(view(values), format.block_size, view(std::span(codes)), view(std::span(absmax)), stream);
  if (format.double_quant) {
    const float offset = mean_absmax(absmax);
    std::vector<std::uint8_t> nested_codes(absmax.size());
    std::vector<float> nested(static_cast<std::size_t>((blocks + kNestedBlock - 1) / kNestedBlock));
    nested_quantize(view(std::span(absmax)), offset, view(std::span(nested_codes)), view(std::span(nested)), stream);
    nested_dequantize(view(std::span(nested_codes)), view(std::span(nested)), offset, view(std::span(absmax)), stream);
  }
  nf4_dequantize(view(std::span(codes)), view(std::span(absmax)), format.block_size, view(values), stream);
}

}  // namespace lora_dist
