// The row of bottleneck adapters; their operators are in src/transformer/bottleneck_rows.h.
#include "src/adapter/adapter_layout.h"
#include "src/adapter/bottleneck_folder.h"
#include "src/adapter/method.h"

namespace lora_dist {

namespace {

void name_model(PeftConfig& peft, const AdapterLayout& /*layout*/, const ModelSpec& model) {
  peft.bottleneck.model_type = model.model_type;
  peft.bottleneck.hidden = model.hidden;
}

}  // namespace

const AdapterMethod& bottleneck_method() {
  static const AdapterMethod method = {.name = "bottleneck",
                                       .parameters = nullptr,
                                       .initialize = nullptr,
                                       .initialize_from_base = nullptr,
                                       .linear = {},
                                       .peft = bottleneck_codec(),
                                       .merge = bottleneck_merge(),
                                       .keys = {.rank = false, .alpha = false, .dropout = false},
                                       .default_modules = nullptr,
                                       .describe = name_model,
                                       .part = TrainedPart::sublayers,
                                       .starts_as_base = false};
  return method;
}

}  // namespace lora_dist
