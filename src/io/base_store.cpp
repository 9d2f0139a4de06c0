// The table of a base store: the dataset of each tensor and the digests of its pieces.
#include "src/io/base_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>

#include "src/core/error.h"
#include "src/io/sha256.h"
#include "src/io/strict_json.h"

namespace lora_dist {

namespace {

using nlohmann::json;

constexpr const char* kTable = "tensors";  // cannot collide with a tensor's name, which has a dot
constexpr const char* kFormat = "lora_dist base store 2";
constexpr std::uint64_t kPiece = 256 << 10;  // bytes: a chunk of the dataset

constexpr std::array<DType, 10> kDTypes = {DType::f64, DType::f32, DType::f16, DType::bf16, DType::i64,
                                           DType::i32, DType::i16, DType::i8,  DType::u8,   DType::boolean};

std::optional<DType> dtype_named(const std::string& name) {
  const auto* const found = std::find_if(kDTypes.begin(), kDTypes.end(), [&](DType dtype) { return name == name_of(dtype); });
  return found == kDTypes.end() ? std::nullopt : std::optional<DType>(*found);
}

[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& what) {
  throw Error(ExitCode::model, fmt::format("{}: {}; write the store again with lora_dist quantize", file.string(), what));
}

std::vector<std::string> digests_of_pieces(std::span<const std::byte> bytes) {
  std::vector<std::string> digests;
  for (std::uint64_t at = 0; at < bytes.size(); at += kPiece) {
    digests.push_back(sha256_of(bytes.subspan(at, std::min<std::uint64_t>(kPiece, bytes.size() - at))));
  }
  return digests;
}

/// A tensor's entry in the table.
struct Entry {
  TensorInfo tensor;
  std::vector<std::string> sha256;
};

Entry read_entry(const json& row, const std::filesystem::path& file) {
  Entry entry;
  try {
    entry.tensor.name = row.at("name").get<std::string>();
    entry.tensor.shape = row.at("shape").get<std::vector<std::int64_t>>();
    entry.sha256 = row.at("sha256").get<std::vector<std::string>>();
    const std::optional<DType> dtype = dtype_named(row.at("dtype").get<std::string>());
    if (!dtype) {
      refuse(file, "the table of tensors has an unknown type for " + entry.tensor.name);
    }
    entry.tensor.dtype = *dtype;
  } catch (const json::exception& error) {
    refuse(file, fmt::format("the table of tensors is damaged ({})", error.what()));
  }
  std::uint64_t bytes = size_of(entry.tensor.dtype);
  for (const std::int64_t dim : entry.tensor.shape) {
    bytes *= static_cast<std::uint64_t>(dim);
  }
  if (entry.sha256.size() != bytes / kPiece + (bytes % kPiece == 0 ? 0 : 1)) {
    refuse(file, fmt::format("the table of tensors has {} digests for the {} bytes of {}", entry.sha256.size(), bytes,
                             entry.tensor.name));
  }
  entry.tensor.file = file;
  entry.tensor.bytes = bytes;
  return entry;
}

std::vector<Entry> read_table(const std::filesystem::path& file, const Hdf5Reader& store) {
  if (const std::string format = store.attribute("format"); format != kFormat) {
    refuse(file, fmt::format("its format is \"{}\", and \"{}\" is read", format.substr(0, 60), kFormat));
  }
  std::string text(static_cast<std::size_t>(store.bytes_of(kTable)), '\0');
  store.read(kTable, 0, std::as_writable_bytes(std::span(text)));
  if (sha256_of(std::as_bytes(std::span(text))) != store.attribute("tensors_sha256")) {
    refuse(file, "the table of tensors does not have its digest");
  }
  std::vector<Entry> entries;
  try {
    for (const json& row : parse_strict_json(text)) {
      entries.push_back(read_entry(row, file));
    }
  } catch (const JsonError& error) {
    refuse(file, fmt::format("the table of tensors is damaged ({})", error.what()));
  }
  return entries;
}

}  // namespace

BaseStoreWriter::BaseStoreWriter(const std::filesystem::path& file) : file_(file) {}

void BaseStoreWriter::add(const std::string& name, DType dtype, const std::vector<std::int64_t>& shape,
                          std::span<const std::byte> bytes) {
  file_.write(name, bytes);
  const json row = {{"name", name}, {"dtype", name_of(dtype)}, {"shape", shape}, {"sha256", digests_of_pieces(bytes)}};
  table_ += (table_.empty() ? "[" : ",") + row.dump();
}

void BaseStoreWriter::close(const std::string& made_from) {
  table_ += table_.empty() ? "[]" : "]";
  const auto bytes = std::as_bytes(std::span(table_));
  file_.write(kTable, bytes);
  file_.attribute("format", kFormat);
  file_.attribute("made_from", made_from);
  file_.attribute("tensors_sha256", sha256_of(bytes));
  file_.close();
}

BaseStoreReader::BaseStoreReader(const std::filesystem::path& file) : path_(file), file_(file) {
  for (Entry& entry : read_table(path_, file_)) {
    if (!pieces_.emplace(entry.tensor.name, Pieces{entry.tensor.bytes, std::move(entry.sha256)}).second) {
      refuse(path_, "the table of tensors names " + entry.tensor.name + " twice");
    }
    tensors_.push_back(std::move(entry.tensor));
  }
  made_from_ = file_.attribute("made_from");
}

void BaseStoreReader::read_piece(const std::string& name, std::size_t index, std::span<std::byte> out) const {
  file_.read(name, static_cast<std::int64_t>(index * kPiece), out);
  const std::string& expected = pieces_.at(name).sha256.at(index);
  if (const std::string actual = sha256_of(out); actual != expected) {
    refuse(path_, fmt::format("the tensor {} is damaged: SHA-256 {} expected for its bytes from {} on, {} found", name, expected,
                              index * kPiece, actual));
  }
}

const std::vector<std::byte>& BaseStoreReader::keep_piece(const std::string& name, std::size_t index, std::uint64_t bytes) const {
  if (kept_name_ != name || kept_index_ != index) {
    kept_name_.clear();  // the cache is empty if the read fails
    kept_.resize(bytes);
    read_piece(name, index, kept_);
    kept_name_ = name;
    kept_index_ = index;
  }
  return kept_;
}

void BaseStoreReader::read(const std::string& name, std::uint64_t from, std::span<std::byte> out) const {
  const std::uint64_t whole = pieces_.at(name).bytes;
  for (std::uint64_t at = from; at < from + out.size();) {
    const std::uint64_t begin = at / kPiece * kPiece;
    const std::uint64_t end = std::min(begin + kPiece, whole);
    const std::uint64_t count = std::min(end, from + out.size()) - at;
    const auto part = out.subspan(at - from, count);
    if (count == end - begin) {
      read_piece(name, at / kPiece, part);
    } else {
      const std::vector<std::byte>& piece = keep_piece(name, at / kPiece, end - begin);
      std::copy_n(piece.begin() + static_cast<std::ptrdiff_t>(at - begin), count, part.begin());
    }
    at += count;
  }
}

TensorDirectory read_base_store(const std::filesystem::path& file) {
  const auto store = std::make_shared<const BaseStoreReader>(file);
  TensorDirectory directory;
  directory.files = {file};
  directory.metadata["made_from"] = store->made_from();
  for (const TensorInfo& tensor : store->tensors()) {
    directory.tensors.emplace(tensor.name, tensor).first->second.store = store;
  }
  return directory;
}

std::vector<std::string> base_store_problems(const std::filesystem::path& file) {
  std::vector<std::string> problems;
  std::vector<std::byte> bytes;
  const BaseStoreReader store(file);
  for (const TensorInfo& tensor : store.tensors()) {
    try {
      bytes.resize(tensor.bytes);
      store.read(tensor.name, 0, bytes);
    } catch (const Error& error) {
      problems.emplace_back(error.what());
    }
  }
  return problems;
}

}  // namespace lora_dist
