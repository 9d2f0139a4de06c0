// Compares the tensors of a folder with those of the model.
#include "src/model/folder_warnings.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <set>
#include <string_view>
#include <utility>

#include "src/model/family.h"
#include "src/model/tensor_table.h"

namespace lora_dist {

namespace {

constexpr std::uint64_t kPieceBytes = std::uint64_t{4} << 20;  // compared at a time
constexpr std::int64_t kNoBlock = std::numeric_limits<std::int64_t>::max();

/// The number in the name of a block's tensor, with or without the family's prefix; kNoBlock for other tensors.
std::int64_t block_of(std::string_view name, const TensorNames& names) {
  const std::string_view path = names.linears[index_of(Linear::o)];  // every family has an o projection
  std::string_view begin = path.substr(0, path.find("{}"));
  if (!name.starts_with(begin)) {
    begin.remove_prefix(names.prefix.size());
  }
  std::int64_t number = kNoBlock;
  if (name.starts_with(begin)) {
    name.remove_prefix(begin.size());
    std::from_chars(name.data(), name.data() + name.size(), number);
  }
  return number;
}

/// Masks and rotation tables, which older versions stored as module buffers.
bool is_old_buffer(std::string_view name) {
  return name.ends_with(".attn.bias") || name.ends_with(".attention.bias") || name.ends_with(".masked_bias") ||
         name.ends_with(".inv_freq");
}

bool is_head(std::string_view name, const TensorNames& names) {
  return std::ranges::any_of(names.heads, [&](std::string_view head) { return name == std::string(head) + ".weight"; });
}

/// True if both have the same bytes.
bool are_equal(const TensorInfo& a, const TensorInfo& b) {
  if (a.dtype != b.dtype || a.shape != b.shape) {
    return false;
  }
  std::vector<std::byte> of_a;
  std::vector<std::byte> of_b;
  for (std::uint64_t at = 0; at < a.bytes; at += kPieceBytes) {
    const auto size = static_cast<std::size_t>(std::min(kPieceBytes, a.bytes - at));
    of_a.resize(size);
    of_b.resize(size);
    read_tensor_bytes(a, at, of_a);
    read_tensor_bytes(b, at, of_b);
    if (of_a != of_b) {
      return false;
    }
  }
  return true;
}

/// A warning about a head tensor that differs from the embedding to which config.json ties it; empty if equal.
std::string head_warning(const ModelSpec& spec, const TensorDirectory& directory) {
  const TensorNames& names = spec.family->names;
  const TensorInfo* embedding = look_up_tensor(spec, directory, std::string(names.embedding) + ".weight");
  if (!spec.tied_head || embedding == nullptr) {
    return {};
  }
  for (const auto& [name, tensor] : directory.tensors) {
    if (is_head(name, names) && !are_equal(tensor, *embedding)) {
      return fmt::format(
          "{}: {} is not used, since config.json ties the head to {}, which has other weights; where the head's own "
          "are meant (transformers 5 uses them), set \"tie_word_embeddings\" to false",
          tensor.file.string(), name, embedding->name);
    }
  }
  return {};
}

std::set<std::string, std::less<>> used_tensors(const ModelSpec& spec, const TensorDirectory& directory) {
  std::set<std::string, std::less<>> used;
  for (const ModelTensor& tensor : model_tensors(spec)) {
    if (const TensorInfo* found = look_up_tensor(spec, directory, tensor.name)) {
      used.insert(found->name);
    }
  }
  return used;
}

}  // namespace

std::vector<std::string> unused_tensors(const ModelSpec& spec, const TensorDirectory& directory) {
  constexpr std::string_view kWeight = ".weight";
  const TensorNames& names = spec.family->names;
  const auto used = used_tensors(spec, directory);
  const auto is_used = [&](std::string_view name) {
    const std::size_t part = name.rfind(".weight.");  // a tensor of a weight that bitsandbytes quantized
    return used.contains(name) || (part != std::string_view::npos && used.contains(name.substr(0, part + kWeight.size())));
  };
  std::vector<std::pair<std::int64_t, std::string>> unused;
  for (const auto& [name, tensor] : directory.tensors) {
    if (!is_used(name) && !is_old_buffer(name) && !(spec.tied_head && is_head(name, names))) {
      const std::int64_t block = block_of(name, names);
      unused.emplace_back(block < spec.layers ? kNoBlock : block, name);
    }
  }
  std::ranges::sort(unused);
  std::vector<std::string> sorted;
  for (auto& [block, name] : unused) {
    sorted.push_back(std::move(name));
  }
  return sorted;
}

std::vector<std::string> folder_warnings(const ModelSpec& spec, const TensorDirectory& directory) {
  std::vector<std::string> warnings = spec.warnings;
  warnings.insert(warnings.end(), directory.warnings.begin(), directory.warnings.end());
  if (std::string of_head = head_warning(spec, directory); !of_head.empty()) {
    warnings.push_back(std::move(of_head));
  }
  if (const std::vector<std::string> unused = unused_tensors(spec, directory); !unused.empty()) {
    const std::int64_t block = block_of(unused.front(), spec.family->names);
    warnings.push_back(fmt::format("{}: {} of its tensors {} not used; the first is {}, {}",
                                   directory.files.front().parent_path().string(), unused.size(),
                                   unused.size() == 1 ? "is" : "are", unused.front(),
                                   block >= spec.layers && block != kNoBlock
                                       ? fmt::format("and config.json says {} block{}", spec.layers, spec.layers == 1 ? "" : "s")
                                       : "which config.json does not imply"));
  }
  return warnings;
}

}  // namespace lora_dist
