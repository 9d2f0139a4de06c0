// Names of formats, for reading and for showing.
#include "src/base/base_format.h"

#include <fmt/format.h>

#include <array>

#include "src/core/error.h"

namespace lora_dist {

namespace {

constexpr std::array kAll = {Quantization::none, Quantization::nf4, Quantization::fp4, Quantization::int8};

}  // namespace

std::string_view name_of(Quantization quantization) {
  switch (quantization) {
    case Quantization::none:
      return "none";
    case Quantization::nf4:
      return "nf4";
    case Quantization::fp4:
      return "fp4";
    case Quantization::int8:
      return "int8";
  }
  return "?";
}

BaseFormat base_format(std::string_view quantization, bool double_quant, std::int64_t block_size) {
  for (const Quantization each : kAll) {
    if (name_of(each) == quantization) {
      return {each, double_quant, block_size};
    }
  }
  throw Error(ExitCode::usage, fmt::format("quantization must be one of none, nf4, fp4, int8 (got {})", quantization));
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
