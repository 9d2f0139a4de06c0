// Reading and writing safetensors (contract: huggingface/safetensors, safetensors/src/tensor.rs).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/common/dtype.h"

namespace lora_dist {

class BaseStoreReader;
struct GgufSource;

/// The location of one tensor; its bytes are read on demand.
struct TensorInfo {
  std::string name;
  DType dtype = DType::f32;
  std::string other_dtype{};  // "F8_E4M3": one that nothing here computes with; dtype is u8 then
  std::vector<std::int64_t> shape;
  std::filesystem::path file;
  std::uint64_t offset = 0;  // of its first byte in the file
  std::uint64_t bytes = 0;
  std::shared_ptr<const BaseStoreReader> store{};  // set for a dataset of a base store (base_store.h)
  std::shared_ptr<const GgufSource> gguf{};        // set for a tensor of a GGUF file (gguf_tensor.h); `bytes`: decoded
};

/// "f32", "F8_E4M3", and of a GGUF file "Q4_K".
std::string dtype_text(const TensorInfo& tensor);

struct TensorDirectory {
  std::map<std::string, TensorInfo> tensors;
  std::map<std::string, std::string> metadata;  // __metadata__ of a single file
  std::vector<std::filesystem::path> files;     // sorted by name
  std::vector<std::string> warnings;            // oddities that are not errors
};

/// One file's header. Throws Error(model) naming the file and what is wrong: header longer than 100,000,000 or than the file,
/// not JSON, duplicate keys, unknown dtype, shape and size that disagree, holes, overlaps, bytes beyond the last tensor.
TensorDirectory read_safetensors_header(const std::filesystem::path& file);

/// The index file of a model folder with several files.
constexpr const char* kIndexName = "model.safetensors.index.json";

/// A GGUF file, or a folder with one (gguf_model.h). Else a model folder: a base store (base_store.h), or model.safetensors, or
/// model.safetensors.index.json and the files that it names (each checked; a tensor that the index puts in a file which does not
/// have it, a missing file or a tensor named twice is an error; a tensor missing from the index is used, with a warning). The
/// error for a folder with only pytorch_model.bin shows two lines of Python that convert it.
TensorDirectory read_model_directory(const std::filesystem::path& folder);

/// Reads out.size() bytes of the tensor from byte `from`. Throws Error(model) if the file has become shorter, or if a store's
/// digest does not match.
void read_tensor_bytes(const TensorInfo& tensor, std::uint64_t from, std::span<std::byte> out);

struct TensorToWrite {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};

/// Sorts the tensors in file order. Returns the bytes before them: the header's length and the header.
std::string sorted_header(std::vector<TensorToWrite>& tensors, const std::map<std::string, std::string>& metadata);

/// Writes one file: dtype alignment descending, then name; __metadata__ {"format":"pt"} plus `metadata`; header padded to 8
/// bytes; fsynced.
void write_safetensors(const std::filesystem::path& file, std::vector<TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata = {});
/// The same with one tensor in memory at a time: `make` returns its bytes.
void write_safetensors(const std::filesystem::path& file, std::vector<TensorToWrite> tensors,
                       const std::function<std::vector<std::byte>(const TensorToWrite&)>& make);

}  // namespace lora_dist
