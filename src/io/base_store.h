// A quantized base in one HDF5 file, written once: each tensor is a dataset of bytes with a SHA-256 for each piece of 256 KiB, so
// that a rank reads only what it keeps, and all that it reads is checked. Weights are named as bitsandbytes names their parts.
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

/// In the folder of a model that was quantized, in place of safetensors.
inline constexpr const char* kBaseStoreFile = "base_store.h5";

/// Writes a store tensor by tensor. Errors throw Error(model).
class BaseStoreWriter {
 public:
  explicit BaseStoreWriter(const std::filesystem::path& file);

  void add(const std::string& name, DType dtype, const std::vector<std::int64_t>& shape, std::span<const std::byte> bytes);
  /// Writes the table of tensors with the SHA-256 of their pieces. `made_from`: what the store was made of, for a reader.
  void close(const std::string& made_from);

 private:
  Hdf5Writer file_;
  std::string table_;  // JSON, an object a tensor
};

/// An open store. Its table of tensors is checked against its digest when it is opened. Not for several threads at once. Errors
/// throw Error(model) naming the file and what is wrong.
class BaseStoreReader {
 public:
  explicit BaseStoreReader(const std::filesystem::path& file);

  /// As the table has them, without `store`.
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  const std::string& made_from() const { return made_from_; }
  /// Bytes [from, from + out.size()) of a tensor of the table. Each piece that they lie in is compared with its SHA-256.
  void read(const std::string& name, std::uint64_t from, std::span<std::byte> out) const;

 private:
  void read_piece(const std::string& name, std::size_t index, std::span<std::byte> out) const;
  const std::vector<std::byte>& keep_piece(const std::string& name, std::size_t index, std::uint64_t bytes) const;

  std::filesystem::path path_;
  Hdf5Reader file_;
  std::string made_from_;
  std::vector<TensorInfo> tensors_;
  struct Pieces {
    std::uint64_t bytes = 0;  // of all of them
    std::vector<std::string> sha256;
  };
  std::map<std::string, Pieces> pieces_;  // by the tensors' names
  // The piece that was last read in part: many small reads go through one.
  mutable std::string kept_name_;
  mutable std::size_t kept_index_ = 0;
  mutable std::vector<std::byte> kept_;
};

/// The tensors of a store, and what it was made from as metadata "made_from".
TensorDirectory read_base_store(const std::filesystem::path& file);
/// Reads all of it. A sentence for each tensor that is damaged.
std::vector<std::string> base_store_problems(const std::filesystem::path& file);

}  // namespace lora_dist
