// DoRA in PEFT's folders and merged.
#pragma once

#include "src/adapter/method_folder.h"

namespace lora_dist {

PeftCodec dora_codec();
MergeHooks dora_merge();

}  // namespace lora_dist
