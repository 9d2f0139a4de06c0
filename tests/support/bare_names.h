// A model folder whose tensors lack the prefix of their names ("layers.0..." for "model.layers.0..."), as models that were saved
// without their head are.
#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <list>
#include <string>
#include <utility>
#include <vector>

#include "src/io/safetensors.h"

namespace lora_dist {

inline std::string bare_name(const std::string& name, const std::string& prefix) {
  return name.starts_with(prefix) ? name.substr(prefix.size()) : name;
}

/// Copies config.json and model.safetensors of `model` into the new folder `target`; returns how many names became shorter.
inline std::ptrdiff_t copy_with_bare_names(const std::filesystem::path& model, const std::string& prefix,
                                           const std::filesystem::path& target) {
  std::filesystem::create_directories(target);
  std::filesystem::copy_file(model / "config.json", target / "config.json");
  const TensorDirectory directory = read_safetensors_header(model / "model.safetensors");
  std::list<std::vector<std::byte>> bytes;
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, tensor] : directory.tensors) {
    read_tensor_bytes(tensor, 0, bytes.emplace_back(tensor.bytes));
    tensors.push_back({bare_name(name, prefix), tensor.dtype, tensor.shape, bytes.back()});
  }
  write_safetensors(target / "model.safetensors", std::move(tensors));
  return std::ranges::count_if(directory.tensors, [&](const auto& entry) { return entry.first.starts_with(prefix); });
}

}  // namespace lora_dist
