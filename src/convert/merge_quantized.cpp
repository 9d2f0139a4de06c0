// Dequantizes whole weights and writes plain files.
#include "src/convert/merge_quantized.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>
#include <system_error>

#include "kernels/elementwise/elementwise.h"
#include "kernels/quantize/quantize_4bit.h"
#include "src/core/error.h"
#include "src/io/file.h"
#include "src/io/strict_json.h"
#include "src/model/family.h"

namespace lora_dist {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// torch's name of a float dtype.
DType dtype_of(const PrequantizedWeight& weight) {
  if (weight.dtype == "float32") {
    return DType::f32;
  }
  if (weight.dtype == "float16" || weight.dtype == "bfloat16") {
    return weight.dtype == "float16" ? DType::f16 : DType::bf16;
  }
  throw Error(ExitCode::model,
              fmt::format("{}: tensor {} was {} before it was quantized; float32, float16 and bfloat16 can be written",
                          weight.codes->file.string(), weight.codes->name, weight.dtype.substr(0, 40)));
}

/// The weight as f32 [out, in].
std::vector<float> dequantized(const PrequantizedWeight& weight, std::int64_t elements, const Stream& stream) {
  std::vector<std::uint8_t> codes(weight.codes->bytes);
  read_tensor_bytes(*weight.codes, 0, std::as_writable_bytes(std::span(codes)));
  const std::vector<float> scales = read_scales(weight);
  std::vector<float> values(static_cast<std::size_t>(elements));
  dequantize_4bit({.codes = view(std::span(codes)),
                   .absmax = view(std::span(scales)),
                   .block_size = weight.format.block_size,
                   .code = weight.format.code()},
                  view(std::span(values)), stream);
  return values;
}

/// Names of a quantized weight's parts begin with its name and a dot.
bool is_part(const std::string& name, const std::map<std::string, PrequantizedWeight>& quantized) {
  return std::ranges::any_of(quantized, [&](const auto& entry) { return name.starts_with(entry.first + "."); });
}

}  // namespace

std::vector<float> plain_values(const QuantizedModel& model, const TensorInfo& tensor, const Stream& stream) {
  const std::int64_t elements = std::accumulate(tensor.shape.begin(), tensor.shape.end(), std::int64_t{1}, std::multiplies<>());
  if (const auto quantized = model.quantized.find(tensor.name); quantized != model.quantized.end()) {
    std::vector<float> values = dequantized(quantized->second, elements, stream);
    return model.transposed ? transposed(values, tensor.shape[1], tensor.shape[0]) : values;
  }
  std::vector<std::byte> bytes(tensor.bytes);
  read_tensor_bytes(tensor, 0, bytes);
  std::vector<float> values(static_cast<std::size_t>(elements));
  cast({bytes.data(), tensor.dtype, {elements}}, view(std::span(values)), stream);
  return values;
}

QuantizedModel as_plain_model(const ModelSpec& spec, const TensorDirectory& directory, std::span<const StoredWeights> stored) {
  QuantizedModel model;
  model.transposed = spec.family->transposed;
  std::map<std::string, TensorInfo> replaced;
  for (std::int64_t layer = 0; layer < spec.layers; ++layer) {
    for (const Linear linear : kAllLinears) {
      if (const auto& weight = stored[static_cast<std::size_t>(layer)][index_of(linear)]) {
        TensorInfo plain = *weight->codes;
        plain.dtype = dtype_of(*weight);
        plain.shape = weight_tensor(spec, layer, linear).shape;
        plain.bytes = static_cast<std::uint64_t>(plain.shape[0] * plain.shape[1]) * size_of(plain.dtype);
        model.quantized.emplace(plain.name, *weight);
        replaced.emplace(plain.name, plain);
      }
    }
  }
  model.plain.files = directory.files;
  for (const auto& [name, tensor] : directory.tensors) {
    if (const auto found = replaced.find(name); found != replaced.end()) {
      model.plain.tensors.emplace(name, found->second);
    } else if (!is_part(name, model.quantized) && tensor.other_dtype.empty()) {
      model.plain.tensors.emplace(name, tensor);
    }
  }
  return model;
}

MergeSums merge_quantized_file(const QuantizedModel& model, const fs::path& source, const fs::path& target, const MergePlan& plan,
                               const Stream& stream) {
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, tensor] : model.plain.tensors) {
    if (tensor.file == source) {
      tensors.push_back({name, tensor.dtype, tensor.shape, {}});
    }
  }
  MergeSums sums;
  write_safetensors(target, std::move(tensors), [&](const TensorToWrite& wanted) {
    const TensorInfo& tensor = model.plain.tensors.at(wanted.name);
    const auto found = plan.find(wanted.name);
    const WeightChange change = found == plan.end() ? WeightChange{} : found->second;
    if (!change.changes() && !model.quantized.contains(wanted.name)) {
      std::vector<std::byte> bytes(tensor.bytes);
      read_tensor_bytes(tensor, 0, bytes);
      return bytes;
    }
    std::vector<float> values = plain_values(model, tensor, stream);
    return fold_in(tensor, values, change, sums, stream);
  });
  return sums;
}

void write_plain_descriptions(const QuantizedModel& model, const fs::path& folder, const fs::path& target) {
  nlohmann::ordered_json config = read_ordered_json_file(folder / "config.json", ExitCode::model);
  config.erase("quantization_config");
  write_file_atomically(target / "config.json", config.dump(2) + "\n", ExitCode::model);
  std::error_code ignored;
  if (!fs::exists(folder / kIndexName, ignored)) {
    return;
  }
  json index = {{"metadata", {{"total_size", 0}}}, {"weight_map", json::object()}};
  std::uint64_t total = 0;
  for (const auto& [name, tensor] : model.plain.tensors) {
    index["weight_map"][name] = tensor.file.filename().string();
    total += tensor.bytes;
  }
  index["metadata"]["total_size"] = total;
  write_file_atomically(target / kIndexName, index.dump(2) + "\n", ExitCode::model);
}

}  // namespace lora_dist
