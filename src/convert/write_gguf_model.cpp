// Tensor by tensor: read, dequantize, add updates, order rows, encode.
#include "src/convert/write_gguf_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "kernels/common/check.h"
#include "kernels/elementwise/elementwise.h"
#include "src/base/finite_weights.h"
#include "src/convert/gguf_rope_keys.h"
#include "src/core/error.h"
#include "src/io/gguf_architecture.h"
#include "src/io/gguf_quantize.h"
#include "src/io/gguf_tensor.h"
#include "src/model/family.h"
#include "src/model/tensor_table.h"

namespace lora_dist {
namespace {

/// A tensor without updates, in file order.
std::vector<float> values_of(const TensorInfo& tensor, const Stream& stream) {
  std::vector<std::byte> bytes(tensor.bytes);
  read_tensor_bytes(tensor, 0, bytes);
  check_finite(tensor, bytes);
  const Shape flat{static_cast<std::int64_t>(bytes.size() / size_of(tensor.dtype))};
  std::vector<float> values(static_cast<std::size_t>(flat.count()));
  cast({bytes.data(), tensor.dtype, flat}, view(std::span(values)), stream);
  return values;
}

std::vector<float> rope_values(const ModelSpec& spec, const std::string& name) {
  std::vector<GgufRopeTensor> tensors = gguf_rope_tensors(spec);
  return std::move(std::ranges::find(tensors, name, &GgufRopeTensor::name)->values);
}

std::vector<float> merged_values(const MergedModel& model, const TensorInfo& tensor, MergeSums& sums, const Stream& stream) {
  const auto found = model.plan->find(tensor.name);
  if (found == model.plan->end()) {
    return values_of(tensor, stream);
  }
  const WeightChange& change = found->second;
  std::vector<float> values = model.quantized != nullptr ? plain_values(*model.quantized, tensor, stream)
                                                         : base_values(tensor, change, model.onto, model.trained, sums, stream);
  return !change.changes() ? values : fold_in_floats(tensor, values, change, sums, stream);
}

GgufTensorPlan planned(const MergedModel& model, const GgufArchitecture& architecture, const ModelTensor& wanted,
                       GgufFileType type) {
  const ModelSpec& spec = *model.spec;
  const TensorInfo& from = find_tensor(spec, model.tensors(), wanted);
  auto place = gguf_place(architecture, wanted.name, wanted.shape.size(), spec.heads, spec.kv_heads);
  if (!place) {
    throw Error(ExitCode::model,
                fmt::format("{}: tensor {} has no place in GGUF files of architecture {}; merge the adapter into a Hugging Face "
                            "folder instead (lora_dist merge)",
                            from.file.string(), wanted.name, architecture.name));
  }
  GgufTensorPlan out{{place->name, nullptr, wanted.shape}, &from, place->source};
  if (out.order.order == GgufOrder::transposed) {
    std::swap(out.written.shape[0], out.written.shape[1]);
  }
  out.written.type = &gguf_tensor_type(type, place->name, out.written.shape, spec);
  return out;
}

}  // namespace

std::vector<GgufTensorPlan> plan_gguf_tensors(const MergedModel& model, GgufFileType type) {
  const ModelSpec& spec = *model.spec;
  const GgufArchitecture* architecture = find_gguf_architecture(spec.model_type);
  require(architecture != nullptr, "plan_gguf_tensors: gguf_model_keys has refused other families");
  std::vector<GgufTensorPlan> out;
  for (const GgufRopeTensor& rope : gguf_rope_tensors(spec)) {
    const std::vector<std::int64_t> shape = {std::ssize(rope.values)};
    out.push_back({{rope.name, &gguf_tensor_type(type, rope.name, shape, spec), shape}, nullptr, {}});
  }
  for (const ModelTensor& wanted : model_tensors(spec)) {
    out.push_back(planned(model, *architecture, wanted, type));
  }
  return out;
}

std::vector<std::byte> gguf_tensor_bytes(const MergedModel& model, const GgufTensorPlan& tensor, MergeSums& sums,
                                         const Stream& stream) {
  const std::vector<float> values =
      tensor.from == nullptr ? rope_values(*model.spec, tensor.written.name)
                             : in_gguf_order(tensor.order, tensor.from->shape, merged_values(model, *tensor.from, sums, stream));
  const GgmlType& type = *tensor.written.type;
  std::vector<std::byte> bytes = encode_ggml(type, values, stream);
  if (!is_in_range(type, bytes, stream)) {
    throw Error(ExitCode::model, fmt::format("tensor {} has values that {} cannot hold (above 65504, or blocks of such); take "
                                             "--type bf16 or f32",
                                             tensor.from == nullptr ? tensor.written.name : tensor.from->name, type.name));
  }
  return bytes;
}

}  // namespace lora_dist
