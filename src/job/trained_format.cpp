// Applies the record, and reports if the base's format differs from it.
#include "src/job/trained_format.h"

#include "src/adapter/adapter_origin.h"
#include "src/comm/agree.h"

namespace lora_dist {

std::optional<BaseFormat> agreed_record(const std::filesystem::path& adapter, Communicator& world) {
  std::string text;
  run_together(world, [&] {
    const std::optional<BaseFormat> record = world.rank() == 0 ? recorded_base_format(adapter) : std::nullopt;
    text = record ? nlohmann::json({{"base_format", json_of(*record)}}).dump() : std::string();
  });
  text = broadcast_string(world, text, 0);
  return text.empty() ? std::nullopt : base_format_in(nlohmann::json::parse(text), adapter);
}

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
    const bool by_folder = !is_same_format(held, wanted.format);
    console.note(fmt::format("{} does not record the base's quantization in training; {}", adapter.string(),
                             by_folder
                                 ? fmt::format("that of the model folder is used: {}", describe(held))
                                 : fmt::format("assuming: {}. Set {} if it was trained otherwise", describe(held), wanted.key)));
  } else if (record && !is_same_format(*record, held)) {
    console.warn(fmt::format("{} was trained on a base that was {}; here the base is {}, so that outputs will differ",
                             adapter.string(), describe(*record), describe(held)));
  } else if (record && !wanted.quantization_given) {
    console.note(fmt::format("the base's quantization is that of the training of {}: {}", adapter.string(), describe(held)));
  }
}

}  // namespace lora_dist
