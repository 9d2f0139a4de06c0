// A model in one GGUF file, or split into several that llama.cpp numbers.
#include <fmt/format.h>

#include "src/core/error.h"
#include "src/io/gguf.h"
#include "src/io/gguf_header.h"

namespace lora_dist {
namespace {

/// Part `number` (from 1) of a file named so.
std::filesystem::path part_path(const std::filesystem::path& named, const std::string& stem, std::int64_t number,
                                std::int64_t count) {
  return named.parent_path() / fmt::format("{}-{:05}-of-{:05}{}", stem, number, count, named.extension().string());
}

void check_part(const GgufFile& part, std::int64_t number, std::int64_t count) {
  if (part.integer("split.count").value_or(1) != count || part.integer("split.no").value_or(0) != number - 1) {
    part.fail(
        fmt::format("split.no and split.count say part {} of {}, the name says part {} of {}; give the parts their names "
                    "again, or copy them anew",
                    part.integer("split.no").value_or(0) + 1, part.integer("split.count").value_or(1), number, count));
  }
}

/// All parts of a split file. `part`: the one that was named.
GgufFile read_parts(const std::filesystem::path& named, const GgufFile& part) {
  const std::int64_t count = part.integer("split.count").value_or(1);
  const std::optional<GgufPartName> name = gguf_part_name(named.filename().string());
  if (!name || name->count != count) {
    part.fail(
        fmt::format("this is one of {} parts of a model, whose name must end in -00001-of-{:05}.gguf and so on; give the "
                    "parts their names again",
                    count, count));
  }
  GgufFile all;
  for (std::int64_t number = 1; number <= count; ++number) {
    const std::filesystem::path path = part_path(named, name->stem, number, count);
    if (std::error_code ignored; !std::filesystem::exists(path, ignored)) {
      part.fail(fmt::format("this is one of {} parts of a model, and {} is missing; copy it into the folder", count,
                            path.filename().string()));
    }
    GgufFile one = read_gguf_part(path);
    check_part(one, number, count);
    for (auto& [tensor, info] : one.tensors) {
      if (!all.tensors.emplace(tensor, std::move(info)).second) {
        one.fail("tensor " + tensor + " is in an earlier part as well; copy the parts again");
      }
    }
    if (number == 1) {
      all.path = path;
      all.values = std::move(one.values);
    }
    all.parts.push_back(path);
    all.warnings.insert(all.warnings.end(), one.warnings.begin(), one.warnings.end());
  }
  if (const auto tensors = all.integer("split.tensors.count"); tensors && *tensors != std::ssize(all.tensors)) {
    all.fail(
        fmt::format("split.tensors.count is {}, and the parts have {} tensors; copy them again", *tensors, all.tensors.size()));
  }
  return all;
}

}  // namespace

std::optional<GgufPartName> gguf_part_name(const std::string& name) {
  constexpr std::string_view kForm = "-00000-of-00000.gguf";  // 0: any digit
  if (name.size() < kForm.size() || !has_gguf_ending(name)) {
    return std::nullopt;
  }
  const std::string stem = name.substr(0, name.size() - kForm.size());
  const std::string form = name.substr(stem.size());
  for (std::size_t i = 0; i < kForm.size() - std::string_view(".gguf").size(); ++i) {
    if (kForm[i] == '0' ? form[i] < '0' || form[i] > '9' : form[i] != kForm[i]) {
      return std::nullopt;
    }
  }
  return GgufPartName{stem, std::stoll(form.substr(1, 5)), std::stoll(form.substr(10, 5))};
}

GgufFile read_gguf(const std::filesystem::path& file) {
  GgufFile one = read_gguf_part(file);
  const std::int64_t parts = one.integer("split.count").value_or(1);
  if (parts < 0) {
    refuse_malformed_gguf(file, fmt::format("split.count is {}", parts));
  }
  return parts > 1 ? read_parts(file, one) : one;
}

}  // namespace lora_dist
