// Writing GGUF files, version 3 (contract: ggml, docs/gguf.md; the bytes are those of gguf-py 0.19.0 for the same keys and
// tensors).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "src/io/gguf_blocks.h"

namespace lora_dist {

/// A list of bool, which std::vector<bool> alone would make hard to tell from other lists.
struct GgufFlags {
  std::vector<bool> flags;

  bool operator==(const GgufFlags&) const = default;
};
/// A key's value in the type that it has in the file: u32, f32, bool, text; lists of text, f32, i32, bool.
using GgufKeyValue = std::variant<std::uint32_t, float, bool, std::string, std::vector<std::string>, std::vector<float>,
                                  std::vector<std::int32_t>, GgufFlags>;

struct GgufKey {
  std::string name;
  GgufKeyValue value;
};

struct GgufTensorToWrite {
  std::string name;
  const GgmlType* type = nullptr;
  std::vector<std::int64_t> shape;  // as elsewhere: the rows' length last

  std::int64_t elements() const;
  std::uint64_t bytes() const;
};

/// Writes one file, keys and tensors in the given order and each tensor padded to 32 bytes; `make` returns a tensor's bytes, and
/// one tensor is in memory at a time. Empty lists are left out, since ggml cannot read them. Fsyncs; a failure removes the file.
/// Throws Error(model) for what the format cannot hold: a name above 63 bytes, or one that is there twice.
void write_gguf(const std::filesystem::path& file, const std::vector<GgufKey>& keys,
                const std::vector<GgufTensorToWrite>& tensors,
                const std::function<std::vector<std::byte>(const GgufTensorToWrite&)>& make);

/// The same file with only the bytes of the first `given` tensors; the others are a hole (zeros that take no room). Readers of
/// keys, names and shapes cannot tell the difference. Not fsynced.
void write_gguf_header(const std::filesystem::path& file, const std::vector<GgufKey>& keys,
                       const std::vector<GgufTensorToWrite>& tensors, std::span<const std::vector<std::byte>> given);

}  // namespace lora_dist
