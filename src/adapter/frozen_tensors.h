// The frozen tensors of an adapter: corners of the tensors that all its modules share.
#pragma once

#include <string>
#include <vector>

#include "src/adapter/adapter_layout.h"
#include "src/adapter/adapter_shard.h"
#include "src/adapter/peft_adapter.h"

namespace lora_dist {

/// The shared tensors of the adapter: `held`, those of its folder, or drawn if it holds none. Throws Error(model) naming `folder`
/// and the tensor that is smaller than a layer of the model needs.
SharedTensors shared_tensors(const AdapterLayout& layout, const PeftConfig& config, SharedTensors held,
                             const std::string& folder);

/// Gives the adapter its shared tensors, as shared_tensors does. Throws as layout_of (adapter_bridge.h) too.
void complete_shared(PeftAdapter& adapter, const ModelSpec& model, const std::string& folder);

/// The values of part.layout's frozen tensors [part.layout.frozen_count]. `layout`: of the whole adapter.
std::vector<float> frozen_values(const AdapterLayout& layout, const AdapterShard& part, const SharedTensors& shared);

/// The bytes of the shared tensors of a new adapter.
std::int64_t shared_bytes(const AdapterLayout& layout);

}  // namespace lora_dist
