// Parses and prints formats.
#include "src/base/base_format.h"

#include <fmt/ranges.h>

#include <optional>

#include "src/core/error.h"

namespace lora_dist {

std::string_view name_of(Quantization quantization) { return word_of(kQuantizations, quantization); }

BaseFormat base_format(std::string_view quantization, bool double_quant, std::int64_t block_size) {
  const std::optional<Quantization> known = value_of_word(kQuantizations, quantization);
  if (!known) {
    throw Error(ExitCode::usage,
                fmt::format("quantization must be one of {} (got {})", fmt::join(all_words(kQuantizations), ", "), quantization));
  }
  return {*known, double_quant, block_size};
}

std::string describe(const BaseFormat& format) {
  switch (format.quantization) {
    case Quantization::none:
      return "not quantized";
    case Quantization::int8:
      return "int8, a scale for each row";
    case Quantization::nf4:
    case Quantization::fp4:
      break;
  }
  return fmt::format("{}{}, blocks of {}", format.code() == FourBit::nf4 ? "NF4" : "FP4",
                     format.double_quant ? " with double quantization" : "", format.block_size);
}

BaseFormat agree_on_format(const WantedFormat& wanted, const BaseFormat& stored, const std::string& folder) {
  const bool agrees = (!wanted.quantization_given || wanted.format.quantization == stored.quantization) &&
                      (!wanted.double_quant_given || wanted.format.double_quant == stored.double_quant) &&
                      (!wanted.block_size_given || wanted.format.block_size == stored.block_size);
  if (!agrees) {
    throw Error(ExitCode::usage,
                fmt::format("{} asks for another base ({}) than the weights in {} are, which are quantized already ({}); "
                            "leave it out, or give the folder with the original weights",
                            wanted.key, describe(wanted.format), folder, describe(stored)));
  }
  return stored;
}

}  // namespace lora_dist
