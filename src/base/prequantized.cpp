// Finds and checks the tensors of prequantized weights.
#include "src/base/prequantized.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "kernels/common/block_size.h"
#include "kernels/quantize/quantize_absmax.h"
#include "src/base/block_layout.h"
#include "src/base/finite_weights.h"
#include "src/core/error.h"
#include "src/io/strict_json.h"
#include "src/model/family.h"

namespace lora_dist {

namespace {

using nlohmann::json;

constexpr const char* kState = ".quant_state.bitsandbytes__";
constexpr std::uint64_t kLongestState = 1 << 16;

[[noreturn]] void refuse(const TensorInfo& tensor, const std::string& what) {
  throw Error(ExitCode::model, fmt::format("{}: tensor {} {}", tensor.file.string(), tensor.name, what));
}

const TensorInfo* find_part(const TensorDirectory& directory, const std::string& name) {
  const auto found = directory.tensors.find(name);
  return found == directory.tensors.end() ? nullptr : &found->second;
}

/// The first tensor whose name begins with `prefix`.
const TensorInfo* find_beginning(const TensorDirectory& directory, const std::string& begin) {
  const auto found = directory.tensors.lower_bound(begin);
  return found == directory.tensors.end() || !found->first.starts_with(begin) ? nullptr : &found->second;
}

/// A part of the weight `of`; it must exist with `count` elements of `dtype`.
const TensorInfo& part(const TensorDirectory& directory, const TensorInfo& of, const std::string& ending, DType dtype,
                       std::int64_t count) {
  const TensorInfo* found = find_part(directory, of.name + ending);
  if (found == nullptr) {
    throw Error(ExitCode::model, fmt::format("{}: tensor {}{} is missing; {} is quantized and means nothing without it",
                                             of.file.string(), of.name, ending, of.name));
  }
  const auto bytes = static_cast<std::uint64_t>(count) * size_of(dtype);
  if (found->dtype != dtype || !found->other_dtype.empty() || found->bytes != bytes) {
    refuse(*found,
           fmt::format("has {} bytes of {}; {} of {} are needed", found->bytes, dtype_text(*found), bytes, name_of(dtype)));
  }
  return *found;
}

std::vector<float> read_floats(const TensorInfo& tensor) {
  std::vector<float> values(tensor.bytes / sizeof(float));
  read_tensor_bytes(tensor, 0, std::as_writable_bytes(std::span(values)));
  check_finite(tensor, std::as_bytes(std::span(values)));
  return values;
}

/// bitsandbytes' quantization state of a weight: JSON in the bytes of a tensor.
struct QuantState {
  const TensorInfo& tensor;
  json document;

  const json& value(const char* key, bool (json::*is)() const noexcept, const char* kind) const {
    const auto found = document.find(key);
    if (found == document.end() || !((*found).*is)()) {
      refuse(tensor, fmt::format("must have {}, {}; the file is damaged", key, kind));
    }
    return *found;
  }
  std::int64_t integer(const char* key) const {
    return value(key, &json::is_number_integer, "a whole number").get<std::int64_t>();
  }
  std::string text(const char* key) const { return value(key, &json::is_string, "a text").get<std::string>(); }
};

QuantState read_state(const TensorInfo& tensor) {
  if (tensor.bytes > kLongestState) {
    refuse(tensor, fmt::format("has {} bytes, which is no quantization state", tensor.bytes));
  }
  std::string text(tensor.bytes, '\0');
  read_tensor_bytes(tensor, 0, std::as_writable_bytes(std::span(text)));
  try {
    json document = parse_strict_json(text);
    if (!document.is_object()) {
      refuse(tensor, "is not a JSON object; the file is damaged");
    }
    return {tensor, std::move(document)};
  } catch (const JsonError& error) {
    refuse(tensor, fmt::format("is not JSON: {}; the file is damaged", error.what()));
  }
}

Quantization read_type(const QuantState& state) {
  const std::string type = state.text("quant_type");
  for (const Quantization known : {Quantization::nf4, Quantization::fp4}) {
    if (type == name_of(known) && state.tensor.name.ends_with(kState + type)) {
      return known;
    }
  }
  refuse(state.tensor, fmt::format("has quant_type \"{}\"; nf4 and fp4 are known, under that name", type.substr(0, 40)));
}

std::int64_t read_block_size(const QuantState& state, const char* key) {
  const std::int64_t size = state.integer(key);
  if (!is_block_size(size)) {
    refuse(state.tensor,
           fmt::format("has {} {}; it must be a power of two from {} to {}", key, size, kSmallestBlock, kLargestBlock));
  }
  return size;
}

/// Checks the state's shape against the model's. Returns the number of elements.
std::int64_t check_shape(const QuantState& state, const ModelSpec& spec, const ModelTensor& wanted) {
  std::vector<std::int64_t> shape = wanted.shape;
  if (spec.family->transposed) {
    std::ranges::reverse(shape);  // bitsandbytes transposes these matrices before quantizing
  }
  if (const json& given = state.value("shape", &json::is_array, "a list"); given != json(shape)) {
    refuse(state.tensor,
           fmt::format("is of a weight {}, config.json implies [{}]", given.dump().substr(0, 80), fmt::join(shape, ", ")));
  }
  return shape[0] * shape[1];
}

/// The 16 values must be those of the operators; a zero may have either sign.
void check_code_table(const TensorDirectory& directory, const TensorInfo& weight, const BaseFormat& format) {
  const TensorInfo& map = part(directory, weight, ".quant_map", DType::f32, 16);
  if (!std::ranges::equal(read_floats(map), code_table(format.code()))) {
    refuse(map, fmt::format("holds other values than those of {}; such weights cannot be used", name_of(format.quantization)));
  }
}

void read_nested(const TensorDirectory& directory, const QuantState& state, std::int64_t scales, PrequantizedWeight& weight) {
  const std::int64_t block = read_block_size(state, "nested_blocksize");
  if (const std::string dtype = state.text("nested_dtype"); dtype != "float32") {
    refuse(state.tensor, fmt::format("has nested_dtype \"{}\"; float32 is known", dtype.substr(0, 40)));
  }
  weight.nested_offset = state.value("nested_offset", &json::is_number, "a number").get<float>();
  if (!std::isfinite(weight.nested_offset)) {
    refuse(state.tensor, "has a nested_offset that is no f32 number");
  }
  weight.absmax = &part(directory, *weight.codes, ".absmax", DType::u8, scales);
  weight.nested_absmax = &part(directory, *weight.codes, ".nested_absmax", DType::f32, divide_up(scales, block));
  std::vector<float> map = read_floats(part(directory, *weight.codes, ".nested_quant_map", DType::f32, 256));
  weight.format.double_quant = block == kNestedBlock && std::ranges::equal(map, dynamic_map());
  if (!weight.format.double_quant) {
    weight.nested_map = std::move(map);
    weight.nested_block = block;
  }
}

BaseFormat format_of(const PrequantizedWeight& weight) {
  BaseFormat format = weight.format;
  format.double_quant = weight.nested_absmax != nullptr;
  return format;
}

}  // namespace

std::optional<PrequantizedWeight> find_prequantized(const ModelSpec& spec, const TensorDirectory& directory,
                                                    const ModelTensor& wanted) {
  const TensorInfo* codes = look_up_tensor(spec, directory, wanted.name);
  if (codes == nullptr || wanted.shape.size() != 2) {
    return std::nullopt;  // the caller reports a missing weight
  }
  const TensorInfo* noted = find_beginning(directory, codes->name + kState);
  if (noted == nullptr) {
    const TensorInfo* rest = find_beginning(directory, codes->name + ".");
    if (rest != nullptr) {
      refuse(*rest, fmt::format("is a part of a quantized weight, but {}{}nf4 or fp4 is missing", codes->name, kState));
    }
    return std::nullopt;
  }
  const QuantState state = read_state(*noted);
  PrequantizedWeight weight;
  weight.codes = codes;
  weight.format = {read_type(state), false, read_block_size(state, "blocksize")};
  weight.dtype = state.text("dtype");
  const std::int64_t elements = check_shape(state, spec, wanted);
  if (const auto bytes = static_cast<std::uint64_t>(weight.format.code_bytes(elements)); codes->bytes != bytes) {
    refuse(*codes, fmt::format("has {} bytes; {} are needed for the codes of {} weights", codes->bytes, bytes, elements));
  }
  check_code_table(directory, *codes, weight.format);
  const std::int64_t scales = divide_up(elements, weight.format.block_size);
  if (state.document.contains("nested_blocksize") || find_part(directory, codes->name + ".nested_absmax") != nullptr) {
    read_nested(directory, state, scales, weight);
  } else {
    weight.absmax = &part(directory, *codes, ".absmax", DType::f32, scales);
  }
  return weight;
}

std::vector<StoredWeights> check_model_tensors(const ModelSpec& spec, const TensorDirectory& directory) {
  std::vector<StoredWeights> stored(static_cast<std::size_t>(spec.layers));
  std::set<std::string> quantized;
  for (std::int64_t layer = 0; layer < spec.layers; ++layer) {
    for (const Linear linear : kAllLinears) {
      if (linear_shape(spec, linear).out > 0) {
        const ModelTensor tensor = weight_tensor(spec, layer, linear);
        std::optional<PrequantizedWeight>& weight = stored[static_cast<std::size_t>(layer)][index_of(linear)];
        weight = find_prequantized(spec, directory, tensor);
        if (weight) {
          quantized.insert(tensor.name);
        }
      }
    }
  }
  for (const ModelTensor& tensor : model_tensors(spec)) {
    if (!quantized.contains(tensor.name)) {
      find_tensor(spec, directory, tensor);
    }
  }
  return stored;
}

std::optional<BaseFormat> stored_format(std::span<const StoredWeights> stored) {
  for (const StoredWeights& block : stored) {
    for (const std::optional<PrequantizedWeight>& weight : block) {
      if (weight) {
        return format_of(*weight);
      }
    }
  }
  return std::nullopt;
}

std::optional<BaseFormat> stored_format(const ModelSpec& spec, const TensorDirectory& directory) {
  for (std::int64_t layer = 0; layer < spec.layers; ++layer) {
    for (const Linear linear : kAllLinears) {
      if (linear_shape(spec, linear).out == 0) {
        continue;
      }
      if (const auto weight = find_prequantized(spec, directory, weight_tensor(spec, layer, linear))) {
        return format_of(*weight);
      }
    }
  }
  return std::nullopt;
}

std::vector<float> read_scales(const PrequantizedWeight& weight) {
  if (weight.nested_absmax == nullptr) {
    return read_floats(*weight.absmax);
  }
  std::vector<std::uint8_t> codes(weight.absmax->bytes);
  read_tensor_bytes(*weight.absmax, 0, std::as_writable_bytes(std::span(codes)));
  const std::vector<float> nested = read_floats(*weight.nested_absmax);
  const bool own = !weight.nested_map.empty();
  const std::span<const float> map = own ? std::span<const float>(weight.nested_map) : std::span<const float>(dynamic_map());
  const auto block = static_cast<std::size_t>(own ? weight.nested_block : kNestedBlock);
  std::vector<float> scales(codes.size());
  for (std::size_t i = 0; i < scales.size(); ++i) {
    // Rounded twice, as two operations, as dequantize_absmax does.
    const auto centred = static_cast<float>(static_cast<double>(map[codes[i]]) * static_cast<double>(nested[i / block]));
    scales[i] = centred + weight.nested_offset;
  }
  return scales;
}

}  // namespace lora_dist
