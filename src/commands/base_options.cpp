// The base format, from the command line.
#include "src/commands/base_options.h"

#include "kernels/common/block_size.h"
#include "src/commands/option_values.h"

namespace lora_dist {

void check_base_options(const BaseOptions& options) {
  if (options.block_size && !is_block_size(*options.block_size)) {
    fail_usage(fmt::format("--block-size must be a power of two from {} to {} (got {})", kSmallestBlock, kLargestBlock,
                           *options.block_size));
  }
}

WantedFormat wanted_format(const BaseOptions& options, Quantization otherwise) {
  const BaseFormat usual;
  return {{options.quantization.value_or(otherwise), options.double_quant.value_or(usual.double_quant),
           options.block_size.value_or(usual.block_size)},
          "--quantization",
          options.quantization.has_value(),
          options.double_quant.has_value(),
          options.block_size.has_value()};
}

}  // namespace lora_dist
