// The table of a base store: which dataset is which tensor.
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

constexpr const char* kTable = "tensors";  // no tensor's name: those have a dot
constexpr const char* kFormat = "lora_dist base store 1";

constexpr std::array<DType, 10> kDTypes = {DType::f64, DType::f32, DType::f16, DType::bf16, DType::i64,
                                           DType::i32, DType::i16, DType::i8,  DType::u8,   DType::boolean};

std::optional<DType> dtype_named(const std::string& name) {
  const auto* const found = std::find_if(kDTypes.begin(), kDTypes.end(), [&](DType dtype) { return name == name_of(dtype); });
  return found == kDTypes.end() ? std::nullopt : std::optional<DType>(*found);
}

[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& what) {
  throw Error(ExitCode::model, fmt::format("{}: {}; write the store again with lora_dist quantize", file.string(), what));
}

/// A tensor as the table has it.
struct Entry {
  TensorInfo tensor;
  std::string sha256;
};

Entry read_entry(const json& row, const std::filesystem::path& file, const std::shared_ptr<const Hdf5Reader>& store) {
  Entry entry;
  try {
    entry.tensor.name = row.at("name").get<std::string>();
    entry.tensor.shape = row.at("shape").get<std::vector<std::int64_t>>();
    entry.sha256 = row.at("sha256").get<std::string>();
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
  entry.tensor.file = file;
  entry.tensor.bytes = bytes;
  entry.tensor.store = store;
  return entry;
}

struct Table {
  std::vector<Entry> entries;
  std::string made_from;
};

Table read_table(const std::filesystem::path& file) {
  const auto store = std::make_shared<const Hdf5Reader>(file);
  if (const std::string format = store->attribute("format"); format != kFormat) {
    refuse(file, fmt::format("its format is \"{}\", and \"{}\" is read", format.substr(0, 60), kFormat));
  }
  std::string text(static_cast<std::size_t>(store->bytes_of(kTable)), '\0');
  store->read(kTable, 0, std::as_writable_bytes(std::span(text)));
  if (sha256_of(std::as_bytes(std::span(text))) != store->attribute("tensors_sha256")) {
    refuse(file, "the table of tensors does not have its digest");
  }
  Table table;
  table.made_from = store->attribute("made_from");
  try {
    for (const json& row : parse_strict_json(text)) {
      table.entries.push_back(read_entry(row, file, store));
    }
  } catch (const JsonError& error) {
    refuse(file, fmt::format("the table of tensors is damaged ({})", error.what()));
  }
  return table;
}

}  // namespace

BaseStoreWriter::BaseStoreWriter(const std::filesystem::path& file) : file_(file) {}

void BaseStoreWriter::add(const std::string& name, DType dtype, const std::vector<std::int64_t>& shape,
                          std::span<const std::byte> bytes) {
  file_.write(name, bytes);
  const json row = {{"name", name}, {"dtype", name_of(dtype)}, {"shape", shape}, {"sha256", sha256_of(bytes)}};
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

TensorDirectory read_base_store(const std::filesystem::path& file) {
  Table table = read_table(file);
  TensorDirectory directory;
  directory.files = {file};
  directory.metadata["made_from"] = table.made_from;
  for (Entry& entry : table.entries) {
    const std::string name = entry.tensor.name;
    if (!directory.tensors.emplace(name, std::move(entry.tensor)).second) {
      refuse(file, "the table of tensors names " + name + " twice");
    }
  }
  return directory;
}

std::vector<std::string> base_store_problems(const std::filesystem::path& file) {
  std::vector<std::string> problems;
  std::vector<std::byte> bytes;
  for (const Entry& entry : read_table(file).entries) {
    try {
      bytes.resize(entry.tensor.bytes);
      read_tensor_bytes(entry.tensor, 0, bytes);
      if (const std::string digest = sha256_of(bytes); digest != entry.sha256) {
        problems.push_back(fmt::format("{}: tensor {} has SHA-256 {}, and the store says {}", file.string(), entry.tensor.name,
                                       digest, entry.sha256));
      }
    } catch (const Error& error) {
      problems.emplace_back(error.what());
    }
  }
  return problems;
}

}  // namespace lora_dist
