// Follows the record, and says where it is not followed.
#include "src/train/trained_format.h"

namespace lora_dist {

bool is_same_format(const BaseFormat& a, const BaseFormat& b) { return describe(a) == describe(b); }

WantedFormat as_recorded(WantedFormat wanted, const std::optional<BaseFormat>& record) {
  if (!record || (wanted.quantization_given && wanted.format.quantization != record->quantization)) {
    return wanted;
  }
  wanted.format.quantization = record->quantization;
  wanted.format.double_quant = wanted.double_quant_given ? wanted.format.double_quant : record->double_quant;
  wanted.format.block_size = wanted.block_size_given ? wanted.format.block_size : record->block_size;
  return wanted;
}

void tell_of_record(const std::filesystem::path& adapter, const std::optional<BaseFormat>& record, const WantedFormat& wanted,
                    const BaseFormat& held, const Console& console) {
  if (adapter.empty()) {
    return;
  }
  if (!record && !wanted.quantization_given) {
    console.note(fmt::format("{} has no record of how its base was held in training: it is taken as {}; {} says otherwise",
                             adapter.string(), describe(held), wanted.key));
  } else if (record && !is_same_format(*record, held)) {
    console.warn(
        fmt::format("{} was trained on its base held as: {}; here it is: {}. The numbers are not those that were trained",
                    adapter.string(), describe(*record), describe(held)));
  } else if (record && !wanted.quantization_given) {
    console.note(fmt::format("the base is held as {} was trained on it: {}", adapter.string(), describe(held)));
  }
}

}  // namespace lora_dist
