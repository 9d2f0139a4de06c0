// The configuration of a training run that starts from an adapter's folder.
#pragma once

#include "src/adapter/adapter_config.h"
#include "src/adapter/adapter_layout.h"
#include "src/config/config.h"

namespace lora_dist {

/// Applies the settings of the folder in adapter.init_from to the configuration. `layout`: of the folder's adapter. Throws
/// Error(usage) naming a key that the user wrote and that differs, or an adapter that cannot be trained on.
void adopt_adapter(Config& config, const PeftConfig& peft, const ModelSpec& model, const AdapterLayout& layout);

}  // namespace lora_dist
