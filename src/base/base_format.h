// How a frozen base is kept: which quantization, and what shares a scale.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/quantize/four_bit_tables.h"
#include "src/core/choices.h"

namespace lora_dist {

/// Of a base, or of one weight. int8 has one absmax for each row of [out, in]: double_quant and block_size say nothing there.
struct BaseFormat {
  Quantization quantization = Quantization::nf4;
  bool double_quant = true;
  std::int64_t block_size = 64;

  bool is_four_bit() const { return quantization == Quantization::nf4 || quantization == Quantization::fp4; }
  /// Whether the block scales are quantized as well.
  bool nested() const { return double_quant && is_four_bit(); }
  /// The operators' name of the codes; only of four bits.
  FourBit code() const { return quantization == Quantization::fp4 ? FourBit::fp4 : FourBit::nf4; }
  /// Elements that share one absmax, in a weight with rows of `cols` elements.
  std::int64_t scale_elements(std::int64_t cols) const { return quantization == Quantization::int8 ? cols : block_size; }
  /// Bytes of the codes of that many elements, from the start of a block on: four bits, rounded up, or a byte each.
  std::int64_t code_bytes(std::int64_t elements) const {
    return quantization == Quantization::int8 ? elements : (elements + 1) / 2;
  }
};

/// "none", "nf4", "fp4", "int8": how configuration and command line name it.
std::string_view name_of(Quantization quantization);
/// The format of those words. Throws Error(usage) for another name.
BaseFormat base_format(std::string_view quantization, bool double_quant, std::int64_t block_size);
/// "NF4 with double quantization, blocks of 64", "int8, a scale for each row", "not quantized".
std::string describe(const BaseFormat& format);

/// What a user asks for, and which of it they wrote themselves: the rest are defaults, which a folder that is quantized already
/// overrules.
struct WantedFormat {
  BaseFormat format;
  std::string key = "--quantization";  // where they write it; for messages
  bool quantization_given = false;
  bool double_quant_given = false;
  bool block_size_given = false;
};

/// The format that a folder already quantized as `stored` is held in: that one. Throws Error(usage) where the user wrote
/// something else.
BaseFormat agree_on_format(const WantedFormat& wanted, const BaseFormat& stored, const std::string& folder);

}  // namespace lora_dist
