// Plans and writes merged weight files.
#include "src/convert/merge_weights.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <system_error>
#include <utility>

#include "kernels/elementwise/elementwise.h"
#include "src/adapter/method.h"
#include "src/base/finite_weights.h"
#include "src/base/quantized_weight.h"
#include "src/base/transpose_elements.h"
#include "src/convert/replaced_weights.h"
#include "src/core/error.h"
#include "src/io/chat_template_files.h"
#include "src/io/file.h"
#include "src/io/gguf_model.h"
#include "src/model/family.h"
#include "src/model/folder_warnings.h"
#include "src/model/tensor_table.h"

namespace lora_dist {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kCopyBytes = std::size_t{16} << 20;

/// All linears of all blocks, without updates.
MergePlan plan_of_blocks(const ModelSpec& spec, const TensorDirectory& model) {
  MergePlan plan;
  for (std::int64_t layer = 0; layer < spec.layers; ++layer) {
    for (const Linear linear : kAllLinears) {
      if (linear_shape(spec, linear).out > 0) {
        const TensorInfo& weight = find_tensor(spec, model, weight_tensor(spec, layer, linear));
        plan[weight.name] = {.in_block = true, .transposed = spec.family->transposed, .updates = {}};
      }
    }
  }
  return plan;
}

const MergeHooks& hooks_of(const AdaptedModule& module) { return method_of(module.adapter->config.method).merge; }

void check_fits(const TensorInfo& weight, const AdaptedModule& update, bool is_transposed, const fs::path& adapter) {
  const UpdateSize size = hooks_of(update).size(update);
  std::vector<std::int64_t> needed = {size.out, size.in};
  if (is_transposed) {
    std::swap(needed[0], needed[1]);
  }
  if (weight.shape.size() == 1) {
    needed.pop_back();
  }
  for (std::size_t i = 0; i < needed.size() && weight.shape.size() == needed.size(); ++i) {
    needed[i] = needed[i] == 0 ? weight.shape[i] : needed[i];
  }
  if (weight.shape != needed) {
    throw Error(ExitCode::model, fmt::format("{}: its update of {} is [{}], and the model's weight is another size; the "
                                             "adapter belongs to another model",
                                             adapter.string(), weight.name, fmt::join(needed, ", ")));
  }
  check_float_dtype(weight);
}

double squared_distance(std::span<const float> x, std::span<const float> y) {
  double sum = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double difference = static_cast<double>(x[i]) - static_cast<double>(y[i]);
    sum += difference * difference;
  }
  return sum;
}

/// The file's values, quantized and dequantized in `format`. Quantization needs the order [out, in].
std::vector<float> as_held(const TensorInfo& tensor, const std::vector<float>& values, bool is_transposed,
                           const BaseFormat& format, const Stream& stream) {
  std::vector<float> held = is_transposed ? transposed(values, tensor.shape[0], tensor.shape[1]) : values;
  quantize_and_back(held, tensor.shape[is_transposed ? 0 : 1], format, stream);
  return is_transposed ? transposed(held, tensor.shape[1], tensor.shape[0]) : held;
}

/// Changes a weight or a bias.
void apply(const AdaptedModule& update, bool is_transposed, const TensorInfo& tensor, std::span<float> values,
           const Stream& stream) {
  if (tensor.name.ends_with(".bias")) {
    hooks_of(update).bias(update, values);
  } else {
    const std::int64_t cols = tensor.shape.size() == 1 ? 1 : tensor.shape[1];
    hooks_of(update).weight(update, {view(values.data(), {tensor.shape[0], cols}), is_transposed}, stream);
  }
}

/// True if the tensor must be read: its bytes change, or its quantization error is counted.
bool is_touched(const WeightChange& change, const BaseFormat& trained) {
  return change.changes() || (change.in_block && trained.quantization != Quantization::none);
}

void copy_range(const InputFile& source, std::uint64_t begin, std::uint64_t end, OutputFile& out) {
  std::vector<std::byte> bytes;
  for (std::uint64_t at = begin; at < end; at += bytes.size()) {
    bytes.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kCopyBytes, end - at)));
    source.read_at(at, bytes);
    out.write(bytes);
  }
}

bool is_weight_file(const fs::path& file) {
  for (const char* ending : {".safetensors", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx"}) {
    if (file.extension() == ending) {
      return true;
    }
  }
  return has_gguf_ending(file);
}

void check_mergeable(std::span<const WeightedAdapter> adapters) {
  for (const WeightedAdapter& each : adapters) {
    if (method_of(each.adapter.config.method).virtual_place != VirtualPlace::none) {
      throw Error(ExitCode::usage,
                  fmt::format("{}: an adapter of method {} does not merge: it changes no weights, it puts virtual tokens before "
                              "every text; run it with lora_dist or PEFT",
                              each.folder.string(), word_of(kMethods, each.adapter.config.method)));
    }
    if (method_of(each.adapter.config.method).merge.weight == nullptr) {
      throw Error(ExitCode::usage,
                  fmt::format("{}: an adapter of method {} changes no weights, and so cannot be merged; use it with score and "
                              "generate",
                              each.folder.string(), word_of(kMethods, each.adapter.config.method)));
    }
  }
}

/// Updates that depend on the weight that they change have no sum of several, and no share of one.
void check_summable(std::span<const WeightedAdapter> adapters) {
  for (const WeightedAdapter& each : adapters) {
    if (!method_of(each.adapter.config.method).merge.sums && (adapters.size() > 1 || each.weight != 1.0)) {
      throw Error(ExitCode::usage,
                  fmt::format("{}: an adapter of method {} merges alone and with weight 1; {}", each.folder.string(),
                              word_of(kMethods, each.adapter.config.method),
                              adapters.size() > 1 ? "merge the adapters one after another" : "leave the weight out"));
    }
  }
}

}  // namespace

std::vector<float> transposed(std::span<const float> values, std::int64_t rows, std::int64_t cols) {
  std::vector<float> out(values.size());
  transpose_elements<sizeof(float)>(std::as_bytes(values), static_cast<std::size_t>(rows), static_cast<std::size_t>(cols),
                                    std::as_writable_bytes(std::span(out)));
  return out;
}

std::vector<std::byte> fold_in(const TensorInfo& tensor, std::span<float> values, const WeightChange& change, MergeSums& sums,
                               const Stream& stream) {
  if (change.changes()) {
    const std::vector<float> before(values.begin(), values.end());
    for (const AdaptedModule& update : change.updates) {
      apply(update, change.transposed, tensor, values, stream);
    }
    replace_values(tensor, change, values);
    sums.update += squared_distance(values, before);
  }
  (change.changes() ? sums.tensors : sums.held) += 1;

  const Shape flat{static_cast<std::int64_t>(values.size())};
  std::vector<std::byte> bytes(values.size() * size_of(tensor.dtype));
  cast(view(std::span<const float>(values)), {bytes.data(), tensor.dtype, flat}, stream);
  std::vector<float> written(values.size());
  cast({bytes.data(), tensor.dtype, flat}, view(std::span(written)), stream);
  sums.rounding += squared_distance(written, values);
  if (change.changes() && !std::all_of(written.begin(), written.end(), [](float value) { return std::isfinite(value); })) {
    throw Error(ExitCode::model,
                fmt::format("{} is no number any more with the adapter's update added; the adapter is damaged, or its "
                            "weight is too large",
                            tensor.name));
  }
  check_finite(tensor, bytes);
  return bytes;
}

MergePlan make_merge_plan(const ModelSpec& spec, const TensorDirectory& model, std::span<const WeightedAdapter> adapters) {
  MergePlan plan = plan_of_blocks(spec, model);
  const std::vector<std::string> unused = unused_tensors(spec, model);
  check_mergeable(adapters);
  check_summable(adapters);
  for (const WeightedAdapter& each : adapters) {
    for (const std::string& path : adapted_paths(each.adapter)) {
      const TensorInfo* weight = look_up_tensor(spec, model, path + ".weight");
      if (weight == nullptr || std::ranges::find(unused, weight->name) != unused.end()) {
        throw Error(ExitCode::model,
                    fmt::format("{}: it adapts {}, which the model does not have; the adapter belongs to another "
                                "model",
                                each.folder.string(), path));
      }
      const AdaptedModule update{&each.adapter, path, each.weight};
      WeightChange& change = plan[weight->name];
      check_fits(*weight, update, change.transposed, each.folder);
      change.updates.push_back(update);
      const TensorInfo* bias = look_up_tensor(spec, model, path + ".bias");
      if (bias != nullptr && hooks_of(update).bias != nullptr && hooks_of(update).size(update).out > 0) {
        plan[bias->name].updates.push_back(update);
      }
    }
  }
  plan_replaced(spec, model, adapters, plan);
  return plan;
}

std::vector<float> fold_in_floats(const TensorInfo& tensor, std::span<float> values, const WeightChange& change, MergeSums& sums,
                                  const Stream& stream) {
  TensorInfo wide = tensor;
  wide.dtype = DType::f32;
  wide.bytes = values.size_bytes();
  const std::vector<std::byte> bytes = fold_in(wide, values, change, sums, stream);
  std::vector<float> out(values.size());
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

std::vector<float> base_values(const TensorInfo& tensor, const WeightChange& change, const BaseFormat& onto,
                               const BaseFormat& trained, MergeSums& sums, const Stream& stream) {
  std::vector<std::byte> bytes(tensor.bytes);
  read_tensor_bytes(tensor, 0, bytes);
  check_finite(tensor, bytes);
  const Shape flat{static_cast<std::int64_t>(tensor.bytes / size_of(tensor.dtype))};
  std::vector<float> values(static_cast<std::size_t>(flat.count()));
  cast({bytes.data(), tensor.dtype, flat}, view(std::span(values)), stream);
  if (change.in_block && trained.quantization != Quantization::none) {
    std::vector<float> dequantized = as_held(tensor, values, change.transposed, trained, stream);
    sums.quantization += squared_distance(dequantized, values);
    if (onto.quantization != Quantization::none) {
      return dequantized;
    }
  }
  return values;
}

std::vector<std::byte> merge_tensor(const TensorInfo& tensor, const WeightChange& change, const BaseFormat& onto,
                                    const BaseFormat& trained, MergeSums& sums, const Stream& stream) {
  std::vector<float> values = base_values(tensor, change, onto, trained, sums, stream);
  const bool moves = change.in_block && onto.quantization != Quantization::none;
  if (moves || change.changes()) {
    return fold_in(tensor, values, change, sums, stream);
  }
  std::vector<std::byte> bytes(tensor.bytes);
  read_tensor_bytes(tensor, 0, bytes);
  return bytes;
}

MergeSums merge_file(const TensorDirectory& model, const fs::path& source, const fs::path& target, const MergePlan& plan,
                     const BaseFormat& onto, const BaseFormat& trained, const Stream& stream) {
  std::vector<const TensorInfo*> tensors;
  for (const auto& [name, tensor] : model.tensors) {
    if (tensor.file == source) {
      tensors.push_back(&tensor);
    }
  }
  std::ranges::sort(tensors, {}, [](const TensorInfo* tensor) { return tensor->offset; });
  const InputFile input(source, ExitCode::model);
  OutputFile out(target, ExitCode::model);
  MergeSums sums;
  std::uint64_t at = 0;  // the header is copied unchanged: names, dtypes, shapes and offsets
  for (const TensorInfo* tensor : tensors) {
    if (const auto change = plan.find(tensor->name); change != plan.end() && is_touched(change->second, trained)) {
      copy_range(input, at, tensor->offset, out);
      out.write(merge_tensor(*tensor, change->second, onto, trained, sums, stream));
      at = tensor->offset + tensor->bytes;
    }
  }
  copy_range(input, at, input.size(), out);
  out.close();
  return sums;
}

void copy_other_files(const fs::path& model, const fs::path& target) {
  if (const std::optional<fs::path> gguf = find_gguf(model)) {
    for (const auto& [name, content] : gguf_folder_files(*gguf)) {
      write_file_atomically(target / name, content, ExitCode::model);
    }
    return;
  }
  std::set<fs::path> names;
  std::error_code problem;
  fs::directory_iterator at(model, problem);
  for (const fs::directory_iterator end; !problem && at != end; at.increment(problem)) {
    const fs::path file = at->path();
    if (at->is_regular_file() && !is_weight_file(file) && !file.filename().string().starts_with('.')) {
      names.insert(file.filename());
    }
  }
  if (problem) {
    throw Error(ExitCode::model, system_error_text("read", model, problem.value()));
  }
  for (const fs::path& file : chat_template_files(model)) {
    names.insert(file.lexically_relative(model));
  }
  for (const fs::path& name : names) {
    fs::create_directories((target / name).parent_path(), problem);
    if (!fs::copy_file(model / name, target / name, problem) && problem) {
      throw Error(ExitCode::model, system_error_text("copy to " + target.string(), model / name, problem.value()));
    }
  }
}

}  // namespace lora_dist
