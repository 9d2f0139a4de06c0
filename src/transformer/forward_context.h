// The model as a rank runs it: what forward and backward read beside the micro-batches.
#pragma once

#include <span>

#include "src/adapter/adapter_layout.h"
#include "src/base/weight_window.h"
#include "src/comm/communicator.h"
#include "src/transformer/workspace.h"

namespace lora_dist {

struct ForwardContext {
  const FrozenBase* base = nullptr;
  const AdapterLayout* layout = nullptr;
  WeightWindow* window = nullptr;
  const Workspace* workspace = nullptr;
  std::span<const float> params;  // the adapter's flat buffer, where the operators run
  Stream stream;
  Communicator* tensor = nullptr;  // the ranks that share every micro-batch, over the operators' memory; null: this one alone
  KvCache* cache = nullptr;        // of one sequence being generated: keys and values are appended, and attended to whole
};

}  // namespace lora_dist
