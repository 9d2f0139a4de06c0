// IA3 in PEFT's folders and merged.
#pragma once

#include "src/adapter/adapter_layout.h"
#include "src/adapter/method_folder.h"

namespace lora_dist {

PeftCodec ia3_codec();
MergeHooks ia3_merge();

/// The modules as PEFT wants them: feedforward_modules is a part of target_modules, whose names then end modules of one kind.
void name_feedforward_modules(PeftConfig& peft, const AdapterLayout& layout, const ModelSpec& model);

}  // namespace lora_dist
