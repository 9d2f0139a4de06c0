// A quantized base in one HDF5 file, written once: each tensor is a dataset of bytes with a SHA-256 per piece of 256 KiB, so that
// a rank reads only its slice and verifies every byte that it reads. Tensors have bitsandbytes' names.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "src/io/hdf5_file.h"
#include "src/io/safetensors.h"

namespace lora_dist {

/// The file that replaces safetensors in a quantized model's folder.
inline constexpr const char* kBaseStoreFile = "base_store.h5";

/// Writes a store tensor by tensor. Errors throw Error(model).
class BaseStoreWriter {
 public:
  explicit BaseStoreWriter(const std::filesystem::path& file);

  void add(const std::string& name, DType dtype, const std::vector<std::int64_t>& shape, std::span<const std::byte> bytes);
  /// Writes the table of tensors with the SHA-256 of their pieces. `made_from`: the source of the store, as information.
  void close(const std::string& made_from);

 private:
  Hdf5Writer file_;
  std::string table_;  // JSON, one object per tensor
};

/// An open store; opening verifies the table's digest. Not thread-safe. Errors throw Error(model) naming the file and what is
/// wrong.
class BaseStoreReader {
 public:
  explicit BaseStoreReader(const std::filesystem::path& file);

  /// The table's entries; TensorInfo::store is not set.
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  const std::string& made_from() const { return made_from_; }
  /// Reads bytes [from, from + out.size()) of a tensor. Verifies the SHA-256 of every piece that they overlap.
  void read(const std::string& name, std::uint64_t from, std::span<std::byte> out) const;

 private:
  void read_piece(const std::string& name, std::size_t index, std::span<std::byte> out) const;
  const std::vector<std::byte>& keep_piece(const std::string& name, std::size_t index, std::uint64_t bytes) const;

  std::filesystem::path path_;
  Hdf5Reader file_;
  std::string made_from_;
  std::vector<TensorInfo> tensors_;
  struct Pieces {
    std::uint64_t bytes = 0;  // of the tensor
    std::vector<std::string> sha256;
  };
  std::map<std::string, Pieces> pieces_;  // by tensor name
  // The last partially read piece, cached for small reads.
  mutable std::string kept_name_;
  mutable std::size_t kept_index_ = 0;
  mutable std::vector<std::byte> kept_;
};

/// The tensors of a store, with its source as metadata "made_from".
TensorDirectory read_base_store(const std::filesystem::path& file);
/// Reads the whole store. Returns a sentence per damaged tensor.
std::vector<std::string> base_store_problems(const std::filesystem::path& file);

}  // namespace lora_dist
