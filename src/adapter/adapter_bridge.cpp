// Makes a layout from a PEFT adapter, and copies factors in and out of the flat buffer.
#include "src/adapter/adapter_bridge.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "kernels/elementwise/elementwise.h"
#include "src/adapter/bottleneck.h"
#include "src/adapter/path_pattern.h"
#include "src/adapter/tensor_roles.h"
#include "src/adapter/trained_modules_folder.h"
#include "src/adapter/virtual_folder.h"
#include "src/core/error.h"
#include "src/model/family.h"
#include "src/model/tensor_table.h"

namespace lora_dist {

namespace {

std::string tensor_name(const std::string& path, const Parameter& parameter) { return tensor_of(path, parameter.name); }

std::vector<std::int64_t> dims_of(const Shape& shape) { return {shape.dims.begin(), shape.dims.begin() + shape.rank}; }

bool has_all(const PeftAdapter& adapter, const std::string& path, const std::vector<Parameter>& parameters) {
  return std::ranges::all_of(parameters,
                             [&](const Parameter& parameter) { return adapter.tensors.contains(tensor_name(path, parameter)); });
}

void check_shape(const AdapterMatrix& matrix, const Shape& needed, const std::string& name, const std::string& folder) {
  if (const std::vector<std::int64_t> dims = dims_of(needed); matrix.shape != dims) {
    throw Error(ExitCode::model,
                fmt::format("{}: tensor {} has shape [{}], this model needs [{}]; the adapter belongs to another model", folder,
                            name, fmt::join(matrix.shape, ", "), fmt::join(dims, ", ")));
  }
}

/// Throws Error(model) for a module that the configuration adapts and the file lacks: PEFT only warns, and computes without it.
void check_not_promised(const PeftConfig& config, const std::string& path, const std::string& folder) {
  const bool names_targets = !config.target_modules.empty() || !config.target_pattern.empty();
  if (names_targets && is_targeted(config, path) && is_transformed(config, path)) {
    throw Error(
        ExitCode::model,
        fmt::format("{}: adapter_config.json adapts {}, and adapter_model.safetensors has no tensors of it; the adapter was "
                    "not saved whole, take another copy",
                    folder, path));
  }
}

constexpr std::int64_t kPieceElements = std::int64_t{1} << 20;  // compared at a time

std::vector<float> rounded_to(DType dtype, const std::vector<float>& values) {
  const Shape shape{static_cast<std::int64_t>(values.size())};
  std::vector<std::byte> bytes(values.size() * size_of(dtype));
  std::vector<float> out(values.size());
  cast(view(std::span<const float>(values)), {bytes.data(), dtype, shape}, Stream{});
  cast({bytes.data(), dtype, shape}, view(std::span(out)), Stream{});
  return out;
}

/// True if `copy` equals `own`, or `own` rounded to the copy's dtype, in the rows that `own` has.
bool is_copy_of(const TensorInfo& copy, const TensorInfo& own) {
  const std::int64_t elements = own.shape[0] * own.shape[1];
  for (std::int64_t first = 0; first < elements; first += kPieceElements) {
    const std::int64_t count = std::min(kPieceElements, elements - first);
    if (read_floats(copy, first, count) != rounded_to(copy.dtype, read_floats(own, first, count))) {
      return false;
    }
  }
  return true;
}

}  // namespace

void check_tables(const PeftAdapter& adapter, const ModelSpec& model, const TensorDirectory& base) {
  const TensorNames& names = model.family->names;
  const std::vector<std::int64_t> shape{model.vocab_of_files(), model.hidden};
  for (const auto& [path, copy] : adapter.tables) {
    const auto refuse = [&](const std::string& why) {
      throw Error(ExitCode::model, fmt::format("{}: tensor {} {}", copy.file.string(), copy.name, why));
    };
    const bool is_head = std::ranges::find(names.heads, path) != names.heads.end();
    const std::string_view table = is_head && !model.tied_head ? names.heads[0] : names.embedding;
    if (!is_head && path != names.embedding) {
      refuse("has no place in this model; the adapter belongs to another model");
    }
    check_float_dtype(copy);
    const TensorInfo& own = find_tensor(model, base, {std::string(table) + ".weight", shape});
    if (copy.shape != own.shape && copy.shape != std::vector<std::int64_t>{model.vocab, model.hidden}) {
      refuse(
          fmt::format("has shape [{}], the base's {} has [{}]: the vocabulary was resized, and not all of its new rows are "
                      "trained, which this "
                      "program does not do",
                      fmt::join(copy.shape, ", "), table, fmt::join(own.shape, ", ")));
    }
    if (!is_copy_of(copy, own)) {
      refuse(fmt::format(
          "is a whole {} with other values than the base's: it was trained (modules_to_save), which this program does "
          "not do; where the base is another model, give that one",
          is_head ? "head" : "embedding"));
    }
  }
}

namespace {

/// Places the tensors of trained norms.
void place_norms(const PeftAdapter& adapter, const ModelSpec& model, const std::string& folder, AdapterLayout& layout,
                 std::set<std::string>& placed) {
  for (const TrainedNorm& norm : all_norms(model)) {
    const std::string path = norm_path(*model.family, norm.site, norm.layer);
    if (!has_all(adapter, path, norm.parameters)) {
      check_not_promised(adapter.config, path, folder);
      continue;
    }
    for (const Parameter& parameter : norm.parameters) {
      const std::string name = tensor_name(path, parameter);
      check_shape(adapter.tensors.at(name), parameter.shape, name, folder);
      placed.insert(name);
    }
    add_norm(layout, norm);
  }
}

/// Places the tensors of bottlenecks.
void place_bottlenecks(const PeftAdapter& adapter, const ModelSpec& model, const std::string& folder, AdapterLayout& layout,
                       std::set<std::string>& placed) {
  const Bottlenecks bottlenecks = make_bottlenecks(model, bottleneck_options(adapter.config.bottleneck, model.hidden));
  for (const Bottleneck& each : bottlenecks.all) {
    for (const Parameter& parameter : each.parameters) {
      const std::string name = tensor_name(bottleneck_path(*model.family, each.site, each.layer), parameter);
      const auto found = adapter.tensors.find(name);
      if (found == adapter.tensors.end()) {
        throw Error(ExitCode::model,
                    fmt::format("{}: there is no tensor {}; the adapter was not saved whole, or belongs to another "
                                "model",
                                folder, name));
      }
      check_shape(found->second, parameter.shape, name, folder);
      placed.insert(name);
    }
  }
  add_bottlenecks(layout, bottlenecks);
}

/// Places the tensors of adapted linears.
void place_linears(const PeftAdapter& adapter, const ModelSpec& model, const std::string& folder, AdapterLayout& layout,
                   std::set<std::string>& placed) {
  for (std::int64_t layer = 0; layer < model.layers; ++layer) {
    for (const Linear linear : kAllLinears) {
      const std::string path = module_path(*model.family, layer, linear);
      const LinearShape shape = linear_shape(model, linear);
      const LinearTraits traits{shape.in, shape.out, stored_rank(adapter.config, path),
                                ends_with_any(path, adapter.config.feedforward_modules)};
      if (shape.out == 0) {
        continue;
      }
      if (!has_all(adapter, path, layout.method->parameters(traits))) {
        check_not_promised(adapter.config, path, folder);
        continue;
      }
      for (const Parameter& parameter : layout.method->parameters(traits)) {
        const std::string name = tensor_name(path, parameter);
        check_shape(adapter.tensors.at(name), parameter.shape, name, folder);
        placed.insert(name);
      }
      if (traits.r == 0) {  // AdaLoRA left it nothing
        continue;
      }
      add_linear(layout, static_cast<std::size_t>(layer), linear, traits, static_cast<float>(scale_of(adapter.config, path)));
    }
  }
}

}  // namespace

AdapterLayout layout_of(const PeftAdapter& adapter, const ModelSpec& model, const std::string& folder) {
  if (method_of(adapter.config.method).virtual_place != VirtualPlace::none) {
    return virtual_layout_of(adapter, model, folder);
  }
  AdapterLayout layout = empty_layout(model);
  layout.method = &method_of(adapter.config.method);
  layout.init = adapter.config.init;
  std::set<std::string> placed;
  switch (layout.method->part) {
    case TrainedPart::linears:
      place_linears(adapter, model, folder, layout, placed);
      break;
    case TrainedPart::norms:
      place_norms(adapter, model, folder, layout, placed);
      break;
    case TrainedPart::sublayers:
      place_bottlenecks(adapter, model, folder, layout, placed);
      break;
    case TrainedPart::base:  // no folder holds it
      break;
  }
  place_replaced(adapter, model, folder, layout, placed);
  for (const auto* tensors : {&adapter.tensors, &adapter.replaced}) {
    for (const auto& [name, matrix] : *tensors) {
      if (!placed.contains(name)) {
        throw Error(ExitCode::model,
                    fmt::format("{}: tensor {} has no place in this model; the adapter belongs to another model", folder, name));
      }
    }
  }
  return layout;
}

void copy_parameters(const PeftAdapter& adapter, const AdapterLayout& layout, std::span<float> params) {
  for (const AdapterTensor& tensor : adapter_tensors(layout)) {
    const auto found = adapter.tensors.find(tensor.name);
    const std::vector<float>& values =
        found != adapter.tensors.end() ? found->second.values : adapter.replaced.at(tensor.name).values;
    std::copy(values.begin(), values.end(), params.begin() + tensor.offset);
  }
}

std::vector<AdapterTensor> adapter_tensors(const AdapterLayout& layout) {
  std::vector<AdapterTensor> tensors;
  for (const auto& [path, parameter] : named_parameters(layout)) {
    tensors.push_back({tensor_name(path, parameter), dims_of(parameter.shape), parameter.offset, parameter.shape.count()});
  }
  return tensors;
}

std::vector<AdapterTensor> folder_tensors(const AdapterLayout& layout) {
  std::vector<AdapterTensor> tensors = adapter_tensors(layout);
  std::erase_if(tensors, [&](const AdapterTensor& tensor) { return tensor.offset >= layout.used_count(); });
  for (const TrainedTable& table : layout.tables) {
    if (table.tied && table.is_whole()) {
      const std::string head = tensor_of(table_path(*layout.family, TableSite::head), table.parameter.name);
      tensors.push_back({head, dims_of(table.parameter.shape), table.parameter.offset, table.parameter.shape.count()});
    }
  }
  return tensors;
}

}  // namespace lora_dist
