// A thin wrapper over the serial HDF5 library: flat datasets of floats or bytes, chunked, with a Fletcher-32 checksum, in the
// V110 file format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace lora_dist {

/// Writes a new file. Errors (full disk, no permission) throw Error(model) with file and reason. close() fsyncs; call it before
/// renaming.
class Hdf5Writer {
 public:
  explicit Hdf5Writer(const std::filesystem::path& file);
  Hdf5Writer(const Hdf5Writer&) = delete;
  Hdf5Writer& operator=(const Hdf5Writer&) = delete;
  ~Hdf5Writer();

  void write(const std::string& name, std::span<const float> values);
  void write(const std::string& name, std::span<const std::byte> bytes);
  void attribute(const std::string& name, const std::string& text);
  void close();

 private:
  std::filesystem::path file_;
  std::int64_t handle_ = -1;
};

/// Reads a file that this program wrote. Errors throw Error(model) with file, dataset and reason (including a checksum mismatch).
class Hdf5Reader {
 public:
  explicit Hdf5Reader(const std::filesystem::path& file);
  Hdf5Reader(const Hdf5Reader&) = delete;
  Hdf5Reader& operator=(const Hdf5Reader&) = delete;
  ~Hdf5Reader();

  /// Elements [from, from + out.size()) by hyperslab.
  void read(const std::string& name, std::int64_t from, std::span<float> out) const;
  void read(const std::string& name, std::int64_t from, std::span<std::byte> out) const;
  /// The size of a dataset of bytes.
  std::int64_t bytes_of(const std::string& name) const;
  std::string attribute(const std::string& name) const;

 private:
  struct Opened;
  const Opened& open(const std::string& name, bool floats) const;
  void read_elements(const std::string& name, bool floats, std::int64_t from, std::size_t count, void* out) const;

  std::filesystem::path file_;
  std::int64_t handle_ = -1;
  mutable std::unique_ptr<Opened> opened_;  // the last dataset, kept open so that small reads reuse its cached chunks
};

}  // namespace lora_dist
