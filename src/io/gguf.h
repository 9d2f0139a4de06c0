// The container of GGUF files: keys with values, and where tensors lie (contract: ggml, docs/gguf.md; versions 2 and 3).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/io/gguf_blocks.h"

namespace lora_dist {

/// Integers of all widths are 64 bits wide here (one that does not fit is the largest), both kinds of floats are double, and a
/// list of booleans is one of numbers.
using GgufValue = std::variant<bool, std::int64_t, double, std::string, std::vector<std::int64_t>, std::vector<double>,
                               std::vector<std::string>>;

/// A tensor as the file has it.
struct GgufTensor {
  std::string name;
  const GgmlType* type = nullptr;
  std::vector<std::int64_t> shape;  // as elsewhere: the rows' length last
  std::filesystem::path file;
  std::uint64_t offset = 0;  // of its first byte in the file
  std::uint64_t bytes = 0;

  std::int64_t elements() const;
};

/// The keys and tensors of a file, or of all parts of a split one (the keys are then those of the first).
struct GgufFile {
  std::filesystem::path path;                // the first part
  std::vector<std::filesystem::path> parts;  // in order
  std::map<std::string, GgufValue> values;
  std::map<std::string, GgufTensor> tensors;
  std::vector<std::string> warnings;

  [[noreturn]] void fail(const std::string& what) const;  // Error(model): "PATH: what"

  bool has(const std::string& key) const { return values.contains(key); }
  // Null where there is no such key. Throw Error(model) naming key and file where its value is of another kind.
  const std::string* text(const std::string& key) const;
  const std::vector<std::string>* texts(const std::string& key) const;
  const std::vector<std::int64_t>* integers(const std::string& key) const;
  const std::vector<double>* numbers(const std::string& key) const;
  std::optional<std::int64_t> integer(const std::string& key) const;
  std::optional<double> number(const std::string& key) const;
  std::optional<bool> flag(const std::string& key) const;
};

/// Text of a file for messages, at most 100 bytes of it: what is no printable ASCII is escaped (\u001B, \xFF).
std::string shown_gguf_text(std::string_view text);

/// True if the name ends in .gguf, in any case.
bool has_gguf_ending(const std::filesystem::path& file);

/// The name of a part of a split file: "STEM-00001-of-00003.gguf".
struct GgufPartName {
  std::string stem;
  std::int64_t number = 1;  // from 1
  std::int64_t count = 1;
};
/// Nothing: it is not the name of a part. `name`: without the folder.
std::optional<GgufPartName> gguf_part_name(const std::string& name);

/// One file, without the other parts of a split model. Throws as read_gguf().
GgufFile read_gguf_part(const std::filesystem::path& path);

/// Reads the header: every length, offset and type is checked against the file before anything relies on it. Of a split file
/// (-00001-of-00003.gguf) any part may be named; all must lie beside each other. Throws Error(model) naming the file and what is
/// wrong: no GGUF at all, another version or byte order, cut short, keys or tensors named twice, sizes that do not fit, types
/// that are not read, more tensors, keys, items or bytes of a text than are read.
GgufFile read_gguf(const std::filesystem::path& file);

}  // namespace lora_dist
