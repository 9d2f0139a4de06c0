// Finds a file's architecture, and the place of each of its tensors in a folder.
#include "src/io/gguf_architecture.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <vector>

#include "src/io/gguf_rotation.h"

namespace lora_dist {
namespace {

using enum GgufOrder;

/// Model types that become llama's architecture.
constexpr auto kLlamas = std::to_array<std::string_view>({"internlm3", "mistral"});

/// "blk.7.attn_q.weight" as its parts: "blk.{}.attn_q", "7", ".weight".
struct NameParts {
  std::string path, layer, ending;
};
NameParts parts_of(const std::string& name) {
  NameParts out;
  const std::size_t dot = name.rfind('.');
  out.path = name.substr(0, dot);
  out.ending = dot == std::string::npos ? "" : name.substr(dot);
  constexpr std::string_view kBlock = "blk.";
  if (const std::size_t end = out.path.find('.', kBlock.size()); out.path.starts_with(kBlock) && end != std::string::npos) {
    out.layer = out.path.substr(kBlock.size(), end - kBlock.size());
    out.path = "blk.{}" + out.path.substr(end);
  }
  return out;
}

std::string with_layer(std::string_view path, const std::string& layer) {
  const std::size_t at = path.find("{}");
  return at == std::string_view::npos ? std::string(path)
                                      : std::string(path.substr(0, at)) + layer + std::string(path.substr(at + 2));
}

/// The layer's number in a path of the pattern ("" where that has none); nothing: another path.
std::optional<std::string> layer_in(std::string_view pattern, std::string_view path) {
  const std::size_t at = pattern.find("{}");
  if (at == std::string_view::npos) {
    return pattern == path ? std::optional<std::string>("") : std::nullopt;
  }
  const std::string_view rest = pattern.substr(at + 2);
  if (path.size() <= at + rest.size() || !path.starts_with(pattern.substr(0, at)) || !path.ends_with(rest)) {
    return std::nullopt;
  }
  const std::string_view layer = path.substr(at, path.size() - at - rest.size());
  const bool is_number = std::ranges::all_of(layer, [](char c) { return c >= '0' && c <= '9'; });
  return is_number ? std::optional<std::string>(layer) : std::nullopt;
}

/// The order of a tensor's rows in files and the number added to it, without type and number of heads.
GgufSource order_of(const GgufArchitecture& architecture, const GgufName& name, std::string_view ending, std::size_t dims) {
  GgufSource out{nullptr, name.order};
  if (name.order == transposed && dims != 2) {
    out.order = as_is;  // a bias
  }
  if (architecture.norms_have_one && name.gguf_name.ends_with("_norm") && ending == ".weight") {
    out.added = -1.0F;
  }
  return out;
}

/// True if the rows are divided by the heads of keys, not of queries.
bool is_of_keys(const GgufName& name) { return name.order == interleaved_halves && name.gguf_name == "blk.{}.attn_k"; }

GgufSource source_of(const GgufFile& file, const GgufTensor& tensor, const GgufArchitecture& architecture, const GgufName& name) {
  GgufSource out = order_of(architecture, name, tensor.name.substr(tensor.name.rfind('.')), tensor.shape.size());
  out.type = tensor.type;
  if (name.order == interleaved_halves || name.order == q_then_k_then_v) {
    out.heads = is_of_keys(name) ? gguf_kv_heads(file) : gguf_heads(file);
    const std::int64_t unit = out.heads * (name.order == interleaved_halves ? 2 : 3);
    if (tensor.shape.front() % unit != 0 || (tensor.shape.size() == 1 && tensor.type->values > 1)) {
      file.fail(fmt::format("tensor {} of {} rows cannot be divided by {} heads; convert the model again", tensor.name,
                            tensor.shape.front(), out.heads));
    }
  }
  if (out.added != 0.0F && tensor.type->dtype != DType::f32) {
    file.fail(fmt::format("tensor {} is {}, and norms must be F32; convert the model again", tensor.name, tensor.type->name));
  }
  return out;
}

TensorInfo info_of(const GgufTensor& tensor, std::string name, const GgufSource& source) {
  TensorInfo out;
  out.name = std::move(name);
  out.dtype = tensor.type->dtype;
  out.shape = tensor.shape;
  if (source.order == transposed) {
    std::swap(out.shape[0], out.shape[1]);
  }
  out.file = tensor.file;
  out.offset = tensor.offset;
  out.bytes = static_cast<std::uint64_t>(tensor.elements()) * size_of(out.dtype);
  out.gguf = std::make_shared<const GgufSource>(source);
  return out;
}

/// A number that all layers have in common; files may give one for each.
std::int64_t same_in_all_layers(const GgufFile& file, const std::string& key, std::optional<std::int64_t> otherwise) {
  std::optional<std::int64_t> number = otherwise;
  if (const auto found = file.values.find(key);
      found != file.values.end() && std::holds_alternative<std::vector<std::int64_t>>(found->second)) {
    const std::vector<std::int64_t>& list = *file.integers(key);
    if (list.empty() || std::ranges::any_of(list, [&](std::int64_t one) { return one != list.front(); })) {
      file.fail("key " + key + " differs from layer to layer, which is not supported");
    }
    number = list.front();
  } else if (found != file.values.end()) {
    number = file.integer(key);
  }
  if (!number || *number < 1 || *number > 65536) {
    file.fail(fmt::format("key {} must be from 1 to 65536 ({}); convert the model again", key,
                          number ? "it is " + std::to_string(*number) : "it is missing"));
  }
  return *number;
}

}  // namespace

const GgufArchitecture& architecture_of(const GgufFile& file) {
  const std::string* type = file.text("general.type");
  const std::string* name = file.text("general.architecture");
  if ((type != nullptr && *type == "imatrix") || (type == nullptr && file.has("imatrix.datasets"))) {
    file.fail("this is an importance matrix, which quantizing uses, and no model; give the GGUF file of the model");
  }
  if (type != nullptr && *type != "model") {
    file.fail(
        fmt::format("general.type is \"{}\": this GGUF file is no model; give that of the base model", shown_gguf_text(*type)));
  }
  if (name == nullptr) {
    file.fail("key general.architecture is missing; is this the GGUF file of a language model?");
  }
  const std::span<const GgufArchitecture> rows = gguf_architectures();
  const auto same = std::ranges::equal_range(rows, std::string_view(*name), {}, &GgufArchitecture::name);
  if (same.empty()) {
    std::vector<std::string_view> known;
    std::ranges::transform(rows, std::back_inserter(known), &GgufArchitecture::name);
    known.erase(std::ranges::unique(known).begin(), known.end());
    file.fail(fmt::format("the architecture {} is not known ({} are); take a model of one of these", shown_gguf_text(*name),
                          fmt::join(known, ", ")));
  }
  const bool windows = file.integer(*name + ".attention.sliding_window").value_or(0) > 0;
  return windows ? same.back() : same.front();
}

const GgufArchitecture* find_gguf_architecture(std::string_view model_type) {
  const bool is_llama = std::ranges::find(kLlamas, model_type) != kLlamas.end();
  const auto rows = gguf_architectures();
  const auto found = std::ranges::find(rows, is_llama ? "llama" : model_type, &GgufArchitecture::model_type);
  return found == rows.end() ? nullptr : &*found;
}

std::string gguf_model_types() {
  std::vector<std::string_view> known(kLlamas.begin(), kLlamas.end());
  std::ranges::transform(gguf_architectures(), std::back_inserter(known), &GgufArchitecture::model_type);
  std::ranges::sort(known);
  return fmt::format("{}", fmt::join(known, ", "));
}

std::optional<GgufPlace> gguf_place(const GgufArchitecture& architecture, const std::string& hf_name, std::size_t dims,
                                    std::int64_t heads, std::int64_t kv_heads) {
  const std::size_t dot = hf_name.rfind('.');
  const std::string path = hf_name.substr(0, dot);
  const std::string ending = dot == std::string::npos ? "" : hf_name.substr(dot);
  for (const GgufName& name : architecture.names) {
    const std::optional<std::string> layer = layer_in(name.hf_name, path);
    if (layer) {
      GgufPlace out{with_layer(name.gguf_name, *layer) + ending, order_of(architecture, name, ending, dims)};
      out.source.heads = is_of_keys(name) ? kv_heads : heads;
      return out;
    }
  }
  return std::nullopt;
}

std::string gguf_key(const GgufFile& file, std::string_view name) {
  return std::string(architecture_of(file).name) + "." + std::string(name);
}

std::int64_t gguf_heads(const GgufFile& file) {
  return same_in_all_layers(file, gguf_key(file, "attention.head_count"), std::nullopt);
}

std::int64_t gguf_kv_heads(const GgufFile& file) {
  return same_in_all_layers(file, gguf_key(file, "attention.head_count_kv"), gguf_heads(file));
}

TensorDirectory gguf_directory(const GgufFile& file) {
  const GgufArchitecture& architecture = architecture_of(file);
  TensorDirectory out;
  out.files = file.parts;
  out.warnings = file.warnings;
  for (const auto& [name, tensor] : file.tensors) {
    if (is_rotation_tensor(name)) {
      continue;  // read with the configuration
    }
    const NameParts parts = parts_of(name);
    const auto found = std::ranges::find(architecture.names, std::string_view(parts.path), &GgufName::gguf_name);
    const bool known = found != architecture.names.end();
    const GgufSource source = known ? source_of(file, tensor, architecture, *found) : GgufSource{tensor.type};
    const std::string hf_name = known ? with_layer(found->hf_name, parts.layer) + parts.ending : name;
    if (!out.tensors.emplace(hf_name, info_of(tensor, hf_name, source)).second) {
      file.fail("tensors of two names are both " + hf_name + "; convert the model again");
    }
  }
  if (out.tensors.empty()) {
    file.fail("there are no tensors in it, only keys (a vocabulary?); give the GGUF file of a model");
  }
  return out;
}

}  // namespace lora_dist
