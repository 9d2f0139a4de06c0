// A quantized base in one HDF5 file, written once: each tensor is a dataset of bytes with a checksum for each 256 KiB, so that a
// rank reads what it keeps by hyperslab, and what it reads is checked. Weights are named as bitsandbytes names their parts.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "src/io/hdf5_file.h"
#include "src/io/safetensors.h"

namespace lora_dist {

/// In the folder of a model that was quantized, in place of safetensors.
inline constexpr const char* kBaseStoreFile = "base_store.h5";

/// Writes a store tensor by tensor. Errors throw Error(model).
class BaseStoreWriter {
 public:
  explicit BaseStoreWriter(const std::filesystem::path& file);

  void add(const std::string& name, DType dtype, const std::vector<std::int64_t>& shape, std::span<const std::byte> bytes);
  /// Writes the table of tensors with their SHA-256. `made_from`: what the store was made of, for a reader.
  void close(const std::string& made_from);

 private:
  Hdf5Writer file_;
  std::string table_;  // JSON, an object a tensor
};

/// The tensors of a store, and what it was made from as metadata "made_from". Its table of tensors is checked against its digest.
/// Throws Error(model) naming the file and what is wrong.
TensorDirectory read_base_store(const std::filesystem::path& file);
/// Reads all of it: every tensor against its SHA-256. A sentence for each that differs.
std::vector<std::string> base_store_problems(const std::filesystem::path& file);

}  // namespace lora_dist
