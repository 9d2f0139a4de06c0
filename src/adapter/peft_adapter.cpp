// Writes and reads adapter folders.
#include "src/adapter/peft_adapter.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>
#include <utility>

#include "kernels/common/check.h"
#include "kernels/elementwise/elementwise.h"
#include "src/adapter/adapter_folders.h"
#include "src/adapter/bottleneck_folder.h"
#include "src/adapter/method.h"
#include "src/adapter/model_card.h"
#include "src/adapter/peft_names.h"
#include "src/adapter/tensor_roles.h"
#include "src/adapter/trained_modules_folder.h"
#include "src/core/error.h"
#include "src/io/atomic_directory.h"
#include "src/io/file.h"
#include "src/io/safetensors.h"
#include "src/io/tokenizer_files.h"

namespace lora_dist {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPeftFile = "adapter_model.safetensors";

/// `rounded`: storage for values in a dtype other than f32; the result points into it.
std::vector<TensorToWrite> tensors_to_write(const AdapterMethod& method, std::span<const AdapterTensor> tensors,
                                            std::span<const float> params, DType dtype, std::vector<std::byte>& rounded) {
  const std::size_t width = size_of(dtype);
  if (dtype != DType::f32) {
    rounded.resize(params.size() * width);
    const Shape all{static_cast<std::int64_t>(params.size())};
    cast(view(params.data(), all), {rounded.data(), dtype, all}, Stream{});
  }
  std::vector<TensorToWrite> out;
  for (const AdapterTensor& tensor : tensors) {
    const auto offset = static_cast<std::size_t>(tensor.offset);
    const auto count = static_cast<std::size_t>(tensor.count);
    require(offset <= params.size() && count <= params.size() - offset,
            "write_peft_adapter: a tensor lies outside the parameters");
    const std::string of_base = replaced_disk_name(tensor.name);
    const ModuleTensor* kind = tensor_kind(method, path_and_role(tensor.name).second);
    require(kind != nullptr || !of_base.empty(), "write_peft_adapter: a tensor that the method does not have");
    const bool exact = dtype == DType::f32 || (kind != nullptr && kind->exact);
    const std::span<const std::byte> bytes = exact ? std::as_bytes(params.subspan(offset, count))
                                                   : std::span<const std::byte>(rounded).subspan(offset * width, count * width);
    const std::string name = !of_base.empty()                        ? of_base
                             : method.part == TrainedPart::sublayers ? bottleneck_disk_name(tensor.name)
                                                                     : fmt::format("{}{}{}", kind->of_model ? "" : kPeftPrefix,
                                                                                   tensor.name, kind->suffix ? kPeftSuffix : "");
    out.push_back({name, exact ? DType::f32 : dtype, tensor.shape, bytes});
  }
  return out;
}

/// Throws Error(model) unless the shared tensors are there as the configuration says, with its rank.
void check_shared(const PeftAdapter& adapter, const AdapterMethod& method, const fs::path& file) {
  if (adapter.shared.empty() && !adapter.config.save_shared) {
    return;
  }
  for (const std::string_view name : method.peft.shared) {
    const auto found = adapter.shared.find(std::string(name));
    if (found == adapter.shared.end()) {
      throw Error(ExitCode::model, fmt::format("{} has no {}{}, which adapter_config.json promises; save the adapter again",
                                               file.string(), kPeftSharedPrefix, name));
    }
    const std::size_t rank_axis = name == method.peft.shared.front() ? 0 : 1;  // A [r, widest input], B [widest output, r]
    if (found->second.shape[rank_axis] != adapter.config.r) {
      throw Error(ExitCode::model,
                  fmt::format("{}: {}{} is [{}], and adapter_config.json gives r = {}; save the adapter again", file.string(),
                              kPeftSharedPrefix, name, fmt::join(found->second.shape, ", "), adapter.config.r));
    }
  }
}

AdapterMatrix read_matrix(const TensorInfo& info, const ModuleTensor& kind) {
  if (info.dtype != DType::f32 && info.dtype != DType::f16 && info.dtype != DType::bf16) {
    throw Error(ExitCode::model, fmt::format("{}: tensor {} is {}, and f32, f16 or bf16 is needed", info.file.string(), info.name,
                                             dtype_text(info)));
  }
  if (info.shape.size() != kind.dimensions || (info.bytes == 0 && !kind.may_be_empty)) {
    throw Error(ExitCode::model, fmt::format("{}: tensor {} is not a {}", info.file.string(), info.name, kind.kind));
  }
  return {info.shape, read_floats(info, 0, static_cast<std::int64_t>(info.bytes / size_of(info.dtype)))};
}

/// Reads a trained copy or trained rows; notes copies of the base beside them. False for other tensors.
bool read_trained_tensor(const TensorInfo& info, PeftAdapter& adapter) {
  if (adapter.config.modules_to_save.empty() && adapter.config.token_indices.empty()) {
    return false;
  }
  if (std::string path = copied_path(info.name); !path.empty()) {
    if (!info.name.ends_with(".modules_to_save.weight")) {  // the trained copy again, under a second name
      adapter.tables.emplace(std::move(path), info);
    }
    return true;
  }
  std::string name = replaced_name(adapter.config, info.name);
  if (name.empty()) {
    return false;
  }
  const bool is_vector = info.shape.size() == 1;  // a norm's
  const ModuleTensor kind{.name = kSavedWeight, .dimensions = is_vector ? 1U : 2U};
  adapter.replaced.emplace(std::move(name), read_matrix(info, kind));
  return true;
}

/// Throws Error(model) unless the tensor belongs to the method, and the adapter has its partners.
void check_partners(const PeftAdapter& adapter, const std::string& name, const fs::path& file) {
  const auto [path, role] = path_and_role(name);
  const AdapterMethod& method = method_of(adapter.config.method);
  if (tensor_kind(method, role) == nullptr) {
    const std::string_view stranger = any_tensor_kind(method, role)->stranger;
    const std::string why =
        stranger.empty() ? fmt::format("adapter_config.json describes a {} adapter", method.name) : std::string(stranger);
    throw Error(ExitCode::model, fmt::format("{} holds {}, and {}; save the adapter again", file.string(), name, why));
  }
  for (const ModuleTensor& partner : method.peft.tensors) {
    if (!partner.optional && !adapter.tensors.contains(tensor_of(path, partner.name))) {
      throw Error(ExitCode::model,
                  fmt::format("{} holds {} without {}; save the adapter again", file.string(), name, partner.name));
    }
  }
}

/// Throws Error(model) unless the shape is that of the tensor's role.
void check_role_shape(const PeftAdapter& adapter, const std::string& name, const AdapterMatrix& matrix, const fs::path& file) {
  const auto [path, role] = path_and_role(name);
  const std::string problem = method_of(adapter.config.method).peft.shape_problem({&adapter, path}, role);
  if (!problem.empty()) {
    throw Error(ExitCode::model,
                fmt::format("{}: {} is [{}], and {}", file.string(), name, fmt::join(matrix.shape, ", "), problem));
  }
}

/// Every tensor has its partners and its role's shape, and belongs to a module that PEFT would adapt.
void check_modules(const PeftAdapter& adapter, const fs::path& file) {
  for (const auto& [name, matrix] : adapter.tensors) {
    check_partners(adapter, name, file);
    check_role_shape(adapter, name, matrix, file);
    const std::string path = path_and_role(name).first;
    if (!is_targeted(adapter.config, path)) {
      throw Error(
          ExitCode::model,
          fmt::format("{}: {} is of a module that target_modules and exclude_modules of adapter_config.json leave out, so "
                      "that PEFT would not load it; save the adapter again",
                      file.string(), name));
    }
    if (!is_transformed(adapter.config, path)) {
      throw Error(ExitCode::model,
                  fmt::format("{}: {} is in a layer that layers_to_transform of adapter_config.json leaves out; save "
                              "the adapter again",
                              file.string(), name));
    }
  }
}

/// Throws Error(model) naming the first tensor with a value that is not finite, or an alpha that fp32 cannot hold.
void check_finite(const PeftAdapter& adapter, const fs::path& folder) {
  if (std::abs(adapter.config.alpha) > std::numeric_limits<float>::max()) {
    throw Error(ExitCode::model, fmt::format("{}: lora_alpha is {}, which is outside of fp32's range",
                                             (folder / "adapter_config.json").string(), adapter.config.alpha));
  }
  const auto check = [&](const std::string& name, const AdapterMatrix& matrix) {
    if (!std::ranges::all_of(matrix.values, [](float value) { return std::isfinite(value); })) {
      throw Error(ExitCode::model, fmt::format("{}: tensor {} has values that are not finite; take the adapter of an earlier "
                                               "checkpoint",
                                               tensors_file(folder).string(), name));
    }
  };
  for (const auto* tensors : {&adapter.tensors, &adapter.shared, &adapter.replaced}) {
    for (const auto& [name, matrix] : *tensors) {
      check(name, matrix);
    }
  }
}

}  // namespace

std::vector<float> read_floats(const TensorInfo& tensor, std::int64_t first, std::int64_t count) {
  const auto width = static_cast<std::int64_t>(size_of(tensor.dtype));
  std::vector<std::byte> bytes(static_cast<std::size_t>(count * width));
  read_tensor_bytes(tensor, static_cast<std::uint64_t>(first * width), bytes);
  std::vector<float> values(static_cast<std::size_t>(count));
  cast({bytes.data(), tensor.dtype, {count}}, view(std::span(values)), Stream{});
  return values;
}

std::vector<std::string> adapted_paths(const PeftAdapter& adapter) {
  const std::string_view first = method_of(adapter.config.method).peft.tensors.front().name;  // stands for its module
  std::vector<std::string> paths;
  for (const auto& [name, matrix] : adapter.tensors) {
    if (const auto [path, role] = path_and_role(name); role == first) {
      paths.push_back(path);
    }
  }
  return paths;
}

void write_peft_adapter(const fs::path& folder, const PeftConfig& config, std::span<const AdapterTensor> tensors,
                        std::span<const float> params, DType dtype, const nlohmann::json& origin, const SharedTensors& shared,
                        const fs::path& tokenizer) {
  std::vector<std::byte> rounded;
  std::vector<TensorToWrite> content = tensors_to_write(method_of(config.method), tensors, params, dtype, rounded);
  for (const auto& [name, matrix] : shared) {
    if (config.save_shared) {
      content.push_back(
          {std::string(kPeftSharedPrefix) + name, DType::f32, matrix.shape, std::as_bytes(std::span(matrix.values))});
    }
  }
  const fs::path temporary = begin_atomic_directory(folder);
  try {
    const bool of_library = method_of(config.method).part == TrainedPart::sublayers;
    write_safetensors(temporary / (of_library ? kBottleneckFile : kPeftFile), std::move(content));
    write_file_atomically(temporary / "adapter_config.json",
                          of_library ? bottleneck_config_text(config) : adapter_config_text(config), ExitCode::model);
    write_file_atomically(temporary / "README.md", model_card(config, base_format_in(origin, folder)), ExitCode::model);
    if (!origin.is_null()) {
      write_file_atomically(temporary / kOriginFile, origin.dump(2) + "\n", ExitCode::model);
    }
    if (!tokenizer.empty()) {
      copy_tokenizer_files(tokenizer, temporary);
    }
    commit_atomic_directory(temporary, folder);
  } catch (const Error&) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw;
  }
}

fs::path tensors_file(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / kPeftFile, ignored) ? folder / kPeftFile : folder / kBottleneckFile;
}

PeftAdapter read_peft_adapter(const fs::path& folder) {
  const fs::path file = folder / kPeftFile;
  std::error_code problem;
  if (!fs::is_directory(folder, problem)) {
    throw Error(ExitCode::model,
                fmt::format("the adapter {} is not a folder; give the folder that holds adapter_config.json", folder.string()));
  }
  if (!fs::exists(folder / "adapter_config.json", problem)) {
    throw Error(ExitCode::model, why_no_adapter(folder));
  }
  const PeftConfig config = read_adapter_config(folder / "adapter_config.json");
  if (config.method == Method::bottleneck) {
    PeftAdapter adapter = read_bottleneck_folder(folder, config);
    check_finite(adapter, folder);
    return adapter;
  }
  PeftAdapter adapter{config, {}};
  if (!fs::exists(file, problem)) {
    if (fs::exists(folder / "adapter_model.bin", problem)) {
      throw Error(ExitCode::model,
                  fmt::format("{0} holds adapter_model.bin, which only Python can read. Convert it once with\n"
                              "  import torch; from safetensors.torch import save_file\n"
                              "  save_file(torch.load(\"{0}/adapter_model.bin\", map_location=\"cpu\", weights_only=True), "
                              "\"{0}/adapter_model.safetensors\", metadata={{\"format\": \"pt\"}})",
                              folder.string()));
    }
    throw Error(ExitCode::model,
                fmt::format("{} has no adapter_model.safetensors; the adapter was not saved whole", folder.string()));
  }
  const AdapterMethod& method = method_of(adapter.config.method);
  const TensorDirectory directory = read_safetensors_header(file);
  for (const auto& [name, info] : directory.tensors) {
    if (method.trains_modules && read_trained_tensor(info, adapter)) {
      continue;
    }
    if (const std::string table = table_name(name); !table.empty()) {
      adapter.tables.emplace(table, info);
      continue;
    }
    if (std::string shared = shared_name(method, name); !shared.empty()) {
      adapter.shared.emplace(std::move(shared), read_matrix(info, {}));
      continue;
    }
    std::string plain = plain_name(method, info);  // first, so that the error names the tensor's kind instead of its shape
    const ModuleTensor& kind = *any_tensor_kind(method, path_and_role(plain).second);
    adapter.tensors.emplace(std::move(plain), read_matrix(info, kind));
  }
  if (adapter.tensors.empty()) {
    throw Error(ExitCode::model, fmt::format("{} holds no tensors; the adapter was not saved whole", file.string()));
  }
  sort_token_rows(adapter, file);
  check_modules(adapter, file);
  check_shared(adapter, method, file);
  check_finite(adapter, folder);
  return adapter;
}

}  // namespace lora_dist
