// The format of a frozen base: quantization and block size.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/quantize/four_bit_tables.h"
#include "src/core/choices.h"

namespace lora_dist {

/// The format of a base or of one weight. int8 has one absmax per row of [out, in] and ignores double_quant and block_size.
struct BaseFormat {
  Quantization quantization = Quantization::nf4;
  bool double_quant = true;
  std::int64_t block_size = 64;

  bool is_four_bit() const { return quantization == Quantization::nf4 || quantization == Quantization::fp4; }
  /// True with double quantization.
  bool nested() const { return double_quant && is_four_bit(); }
  /// The table of the codes; for four-bit formats only.
  FourBit code() const { return quantization == Quantization::fp4 ? FourBit::fp4 : FourBit::nf4; }
  /// Elements that share one absmax, in a weight with rows of `cols` elements.
  std::int64_t scale_elements(std::int64_t cols) const { return quantization == Quantization::int8 ? cols : block_size; }
  /// Bytes of the codes of that many elements from the start of a block: four bits each, rounded up, or a byte each.
  std::int64_t code_bytes(std::int64_t elements) const {
    return quantization == Quantization::int8 ? elements : (elements + 1) / 2;
  }
};

/// "none", "nf4", "fp4", "int8": the names in configuration and command line.
std::string_view name_of(Quantization quantization);
/// The format with that name. Throws Error(usage) for an unknown name.
BaseFormat base_format(std::string_view quantization, bool double_quant, std::int64_t block_size);
/// "NF4 with double quantization, blocks of 64", "int8, a scale for each row", "not quantized".
std::string describe(const BaseFormat& format);

/// The requested format, with flags for the values that the user wrote: a folder that is already quantized overrides the
/// defaults.
struct WantedFormat {
  BaseFormat format;
  std::string key = "--quantization";  // the option or key, for messages
  bool quantization_given = false;
  bool double_quant_given = false;
  bool block_size_given = false;
};

/// Returns `stored`, the format of an already quantized folder. Throws Error(usage) if the user wrote another one.
BaseFormat agree_on_format(const WantedFormat& wanted, const BaseFormat& stored, const std::string& folder);

}  // namespace lora_dist
