// Tensor by tensor, by the names that the folder has.
#include "src/convert/merge_gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "src/io/file.h"

namespace lora_dist {

namespace fs = std::filesystem;
using nlohmann::json;

std::string merged_gguf_name(const TensorDirectory& model, std::size_t index) {
  return model.files.size() == 1 ? "model.safetensors"
                                 : fmt::format("model-{:05}-of-{:05}.safetensors", index + 1, model.files.size());
}

MergeSums merge_gguf_file(const TensorDirectory& model, const fs::path& source, const fs::path& target, const MergePlan& plan,
                          const BaseFormat& onto, const BaseFormat& trained, const Stream& stream) {
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, tensor] : model.tensors) {
    if (tensor.file == source) {
      tensors.push_back({name, tensor.dtype, tensor.shape, {}});
    }
  }
  MergeSums sums;
  write_safetensors(target, std::move(tensors), [&](const TensorToWrite& wanted) {
    const TensorInfo& tensor = model.tensors.at(wanted.name);
    if (const auto change = plan.find(wanted.name); change != plan.end()) {
      return merge_tensor(tensor, change->second, onto, trained, sums, stream);
    }
    std::vector<std::byte> bytes(tensor.bytes);
    read_tensor_bytes(tensor, 0, bytes);
    return bytes;
  });
  return sums;
}

void write_gguf_index(const TensorDirectory& model, const fs::path& target) {
  if (model.files.size() == 1) {
    return;
  }
  json index = {{"metadata", {{"total_size", 0}}}, {"weight_map", json::object()}};
  std::uint64_t total = 0;
  for (const auto& [name, tensor] : model.tensors) {
    const auto file = std::ranges::find(model.files, tensor.file) - model.files.begin();
    index["weight_map"][name] = merged_gguf_name(model, static_cast<std::size_t>(file));
    total += tensor.bytes;
  }
  index["metadata"]["total_size"] = total;
  write_file_atomically(target / kIndexName, index.dump(2) + "\n", ExitCode::model);
}

}  // namespace lora_dist
