// Quantizes weight by weight into a base store.
#include "src/convert/write_base_store.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "kernels/quantize/quantize_absmax.h"
#include "src/base/block_layout.h"
#include "src/base/prequantized.h"
#include "src/base/quantized_weight.h"
#include "src/base/weight_shard.h"
#include "src/convert/merge_weights.h"
#include "src/core/version.h"
#include "src/io/base_store.h"
#include "src/io/gguf_model.h"
#include "src/io/sha256.h"
#include "src/model/family.h"
#include "src/model/tensor_table.h"

namespace lora_dist {

namespace {

using nlohmann::json;

/// The float matrices of the blocks, by tensor name.
std::map<std::string, LinearShape> weights_to_quantize(const ModelSpec& spec, const TensorDirectory& directory,
                                                       std::span<const StoredWeights> stored) {
  std::map<std::string, LinearShape> weights;
  for (std::int64_t layer = 0; layer < spec.layers; ++layer) {
    for (const Linear linear : kAllLinears) {
      const LinearShape shape = linear_shape(spec, linear);
      if (shape.out > 0 && !stored[static_cast<std::size_t>(layer)][index_of(linear)]) {
        weights[find_tensor(spec, directory, weight_tensor(spec, layer, linear)).name] = shape;
      }
    }
  }
  return weights;
}

/// transformers' name of a dtype.
const char* torch_name(DType dtype) { return dtype == DType::f32 ? "float32" : dtype == DType::f16 ? "float16" : "bfloat16"; }

/// The parts of a quantized weight as bitsandbytes' QuantState.as_dict names them.
struct StoreParts {
  BaseStoreWriter& store;
  std::string name;

  void floats(const std::string& ending, std::span<const float> values) const {
    store.add(name + ending, DType::f32, {static_cast<std::int64_t>(values.size())}, std::as_bytes(values));
  }
  void bytes(const std::string& ending, const std::vector<std::int64_t>& shape, std::span<const std::byte> values) const {
    store.add(name + ending, DType::u8, shape, values);
  }
};

void add_quantized(const TensorInfo& tensor, const LinearShape& shape, bool transposed, const BaseFormat& format,
                   const Stream& stream, BaseStoreWriter& store) {
  const std::int64_t elements = shape.out * shape.in;
  WeightLayout weight;
  weight.format = format;
  weight.dtype = tensor.dtype;
  weight.rows = shape.out;
  weight.cols = weight.whole_cols = shape.in;
  weight.whole_elements = elements;
  weight.in_whole = {1, elements, 0, 0};
  std::vector<std::byte> codes(static_cast<std::size_t>(format.code_bytes(elements)));
  std::vector<float> absmax(static_cast<std::size_t>(weight.whole_scales()));
  quantize_kept(open_weight(tensor, transposed), weight, {{0, elements}, codes}, absmax, stream);

  const StoreParts parts{store, tensor.name};
  json state = {{"quant_type", name_of(format.quantization)},
                {"blocksize", format.block_size},
                {"dtype", torch_name(tensor.dtype)},
                {"shape", {shape.out, shape.in}}};
  parts.bytes("", {static_cast<std::int64_t>(codes.size()), 1}, codes);
  parts.floats(".quant_map", code_table(format.code()));
  const KeptScales scales = keep_scales(absmax, format, stream);
  if (format.nested()) {
    state["nested_blocksize"] = kNestedBlock;
    state["nested_dtype"] = "float32";
    state["nested_offset"] = scales.offset;
    parts.bytes(".absmax", {static_cast<std::int64_t>(scales.absmax.size())}, scales.absmax);
    parts.floats(".nested_absmax", scales.nested);
    parts.floats(".nested_quant_map", dynamic_map());
  } else {
    parts.floats(".absmax", absmax);
  }
  const std::string text = state.dump();
  parts.bytes(fmt::format(".quant_state.bitsandbytes__{}", name_of(format.quantization)),
              {static_cast<std::int64_t>(text.size())}, std::as_bytes(std::span(text)));
}

void add_as_it_is(const TensorInfo& tensor, BaseStoreWriter& store) {
  std::vector<std::byte> bytes(tensor.bytes);
  read_tensor_bytes(tensor, 0, bytes);
  store.add(tensor.name, tensor.dtype, tensor.shape, bytes);
}

}  // namespace

void write_base_store(const std::filesystem::path& model, const std::filesystem::path& target, const BaseFormat& format,
                      const Stream& stream, const std::function<void(std::int64_t, std::int64_t)>& on_tensor) {
  const ModelSpec spec = read_model_config(model);
  const TensorDirectory directory = read_model_directory(model);
  const std::vector<StoredWeights> stored = check_model_tensors(spec, directory);
  const std::map<std::string, LinearShape> weights = weights_to_quantize(spec, directory, stored);
  BaseStoreWriter store(target / kBaseStoreFile);
  std::int64_t done = 0;
  for (const auto& [name, tensor] : directory.tensors) {
    if (const auto weight = weights.find(name); weight != weights.end()) {
      add_quantized(tensor, weight->second, spec.family->transposed, format, stream, store);
    } else if (tensor.other_dtype.empty()) {  // the model does not use other dtypes
      add_as_it_is(tensor, store);
    }
    on_tensor(++done, static_cast<std::int64_t>(directory.tensors.size()));
  }
  const std::string config = model_config_text(model);
  store.close(json({{"model", model.string()},
                    {"format", describe(format)},
                    {"config_sha256", sha256_of(std::as_bytes(std::span(config)))},
                    {"program", LORA_DIST_VERSION}})
                  .dump());
  copy_other_files(model, target);
}

}  // namespace lora_dist
