// The model of a rank: what forward and backward read besides the micro-batches.
#pragma once

#include <span>

#include "src/adapter/adapter_layout.h"
#include "src/base/weight_window.h"
#include "src/comm/communicator.h"
#include "src/transformer/workspace.h"

namespace lora_dist {

struct BaseGradients;

struct ForwardContext {
  const FrozenBase* base = nullptr;
  const AdapterLayout* layout = nullptr;
  WeightWindow* window = nullptr;
  const Workspace* workspace = nullptr;
  std::span<const float> params;  // the adapter's flat buffer, in the operators' memory
  Stream stream;
  Communicator* tensor = nullptr;       // the ranks that share every micro-batch, over the operators' memory; null: only this one
  KvCache* cache = nullptr;             // of the generated sequence: forward appends keys and values, and attends to all
  std::span<const float> initial = {};  // the flat buffer's initial values, if the layout's linears are residual
  BaseGradients* base_gradients = nullptr;  // of full fine-tuning, in training (base_gradients.h)
};

}  // namespace lora_dist
