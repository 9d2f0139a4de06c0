// Names on disk and in memory.
#include "src/adapter/peft_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "src/adapter/tensor_roles.h"
#include "src/core/error.h"
#include "src/core/words.h"

namespace lora_dist {

namespace {

/// True if this is the path of an embedding or a head, in any family.
bool is_vocabulary_table(std::string_view path) {
  constexpr std::array<std::string_view, 5> kNames = {"lm_head", "embed_out", "embed_tokens", "embed_in", "wte"};
  return std::ranges::find(kNames, path.substr(path.rfind('.') + 1)) != kNames.end();  // the whole path if it has no dot
}

std::vector<std::string_view> method_titles() {
  std::vector<std::string_view> titles;
  std::ranges::transform(adapter_methods(), std::back_inserter(titles), [](const auto* row) { return row->peft.title; });
  return titles;
}

/// "base_model.model.<module>.lora_A.weight, .lora_B.weight or .ia3_l": of all methods.
std::string example_names() {
  std::vector<std::string> names;
  for (const AdapterMethod* row : adapter_methods()) {
    for (const ModuleTensor& tensor : row->peft.tensors) {
      std::string name = fmt::format("{}{}{}{}", names.empty() ? "base_model.model.<module>" : "", tensor.of_model ? "" : ".",
                                     tensor.name, tensor.suffix ? kPeftSuffix : "");
      if (std::ranges::none_of(names, [&](const std::string& known) { return known.ends_with(name); })) {
        names.push_back(std::move(name));
      }
    }
  }
  return joined_words({names.begin(), names.end()}, "or");
}

}  // namespace

const ModuleTensor* tensor_kind(const AdapterMethod& method, std::string_view role) {
  const auto found = std::ranges::find(method.peft.tensors, role, &ModuleTensor::name);
  return found == method.peft.tensors.end() ? nullptr : &*found;
}

const ModuleTensor* any_tensor_kind(const AdapterMethod& method, std::string_view role) {
  const ModuleTensor* found = tensor_kind(method, role);
  for (const AdapterMethod* other : adapter_methods()) {
    found = found == nullptr ? tensor_kind(*other, role) : found;
  }
  return found;
}

std::string table_name(std::string name) {
  constexpr std::string_view kBaseLayer = ".base_layer";
  if (!name.starts_with(kPeftPrefix) || !name.ends_with(kPeftSuffix) || name.size() < kPeftPrefix.size() + kPeftSuffix.size()) {
    return {};
  }
  name = name.substr(kPeftPrefix.size(), name.size() - kPeftPrefix.size() - kPeftSuffix.size());
  if (name.ends_with(kBaseLayer)) {
    name.resize(name.size() - kBaseLayer.size());
  }
  return is_vocabulary_table(name) ? name : std::string();
}

std::string shared_name(const AdapterMethod& method, const std::string& name) {
  const auto found = std::ranges::find_if(
      method.peft.shared, [&](std::string_view shared) { return name == std::string(kPeftSharedPrefix) + std::string(shared); });
  return found == method.peft.shared.end() ? std::string() : std::string(*found);
}

std::string plain_name(const AdapterMethod& method, const TensorInfo& info) {
  const std::string& name = info.name;
  const auto refuse = [&](const std::string& why) {
    throw Error(ExitCode::model, fmt::format("{}: tensor {} {}", info.file.string(), name, why));
  };
  if (name.find("lora_embedding_") != std::string::npos) {
    refuse("adapts an embedding, which this program does not do");
  }
  if (name.find("modules_to_save") != std::string::npos) {
    refuse("is a whole trained module (modules_to_save), which this program does not do");
  }
  if (const ModuleTensor* kind = any_tensor_kind(method, name); kind != nullptr && kind->of_model) {
    return name;
  }
  if (name.starts_with(kPeftPrefix)) {
    const bool has_suffix = name.ends_with(kPeftSuffix);
    const std::string plain =
        name.substr(kPeftPrefix.size(), name.size() - kPeftPrefix.size() - (has_suffix ? kPeftSuffix.size() : 0));
    const auto [path, role] = path_and_role(plain);
    const ModuleTensor* kind = any_tensor_kind(method, role);
    if (!path.empty() && kind != nullptr && !kind->of_model && (has_suffix || !kind->suffix)) {
      if (is_vocabulary_table(path)) {
        refuse("adapts the head, which this program does not do; train the adapter without it in target_modules");
      }
      return plain;
    }
  }
  if (name.ends_with(".bias")) {
    refuse("is a trained bias, which this program does not do");
  }
  refuse(fmt::format("is not named as a tensor of {} is ({})", joined_words(method_titles(), "or"), example_names()));
  return "";
}

}  // namespace lora_dist
