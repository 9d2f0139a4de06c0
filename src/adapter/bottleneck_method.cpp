// The row of bottleneck adapters; their operators are in src/transformer/bottleneck_rows.h.
#include "src/adapter/adapter_layout.h"
#include "src/adapter/bottleneck_folder.h"
#include "src/adapter/method.h"
#include "src/model/family.h"

namespace lora_dist {

namespace {

void name_model(PeftConfig& peft, const AdapterLayout& layout) {
  peft.bottleneck.model_type = layout.family->model_type;
  peft.bottleneck.hidden = layout.bottlenecks.all.front().up_bias().shape.count();
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
                                       .keys = {.alpha = false, .dropout = false},
                                       .default_modules = nullptr,
                                       .describe = name_model,
                                       .part = TrainedPart::sublayers};
  return method;
}

}  // namespace lora_dist
