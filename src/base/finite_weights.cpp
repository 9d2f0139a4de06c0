// Looks for exponents that are all ones: infinities and NaNs of each floating-point type.
#include "src/base/finite_weights.h"

#include <fmt/format.h>

#include <cstdint>
#include <cstring>

#include "src/core/error.h"

namespace lora_dist {

namespace {

/// True when an element's exponent bits are all ones: NaN or infinity.
template <class Bits>
bool holds_exponent(std::span<const std::byte> bytes, Bits exponent) {
  bool found = false;
  for (std::size_t at = 0; at + sizeof(Bits) <= bytes.size(); at += sizeof(Bits)) {
    Bits element = 0;
    std::memcpy(&element, bytes.data() + at, sizeof element);
    found |= (element & exponent) == exponent;  // no early exit, so that the loop vectorizes
  }
  return found;
}

bool has_non_finite(DType dtype, std::span<const std::byte> bytes) {
  switch (dtype) {
    case DType::f32:
      return holds_exponent<std::uint32_t>(bytes, 0x7F800000U);
    case DType::bf16:
      return holds_exponent<std::uint16_t>(bytes, 0x7F80U);
    case DType::f16:
      return holds_exponent<std::uint16_t>(bytes, 0x7C00U);
    default:
      return false;
  }
}

}  // namespace

void check_finite(const TensorInfo& tensor, std::span<const std::byte> bytes) {
  if (has_non_finite(tensor.dtype, bytes)) {
    throw Error(ExitCode::model,
                fmt::format("{}: tensor {} holds NaN or infinity; the file is damaged or was saved from a failed run",
                            tensor.file.string(), tensor.name));
  }
}

}  // namespace lora_dist
