// One adapted module of a PEFT adapter, for the merge and for summaries.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "src/adapter/peft_adapter.h"
#include "src/adapter/tensor_roles.h"

namespace lora_dist {

struct AdaptedModule {
  const PeftAdapter* adapter = nullptr;
  std::string path;     // "model.layers.0.self_attn.q_proj"
  double weight = 1.0;  // the update's factor in a sum of several

  bool has(std::string_view role) const { return adapter->tensors.contains(tensor_of(path, role)); }
  const AdapterMatrix& tensor(std::string_view role) const { return adapter->tensors.at(tensor_of(path, role)); }
};

/// The paths of the adapter's modules, in alphabetical order.
std::vector<std::string> adapted_paths(const PeftAdapter& adapter);

}  // namespace lora_dist
