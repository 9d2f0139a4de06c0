// Parses the safetensors header and checks every field against the file.
#include "src/io/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <optional>
#include <set>
#include <utility>

#include "kernels/common/check.h"
#include "src/io/base_store.h"
#include "src/io/file.h"
#include "src/io/gguf_tensor.h"
#include "src/io/strict_json.h"

namespace lora_dist {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian and is used as it lies in the file");

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr std::size_t kMaxTensorDims = 64;

[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& what) {
  throw Error(ExitCode::model, file.string() + " is not a sound safetensors file: " + what + "; copy or download it again");
}

struct DTypeName {
  const char* name;
  DType dtype;
};
/// In the writer's order: widest alignment first.
constexpr DTypeName kDTypeNames[] = {{"I64", DType::i64},   {"F64", DType::f64},     {"F32", DType::f32}, {"I32", DType::i32},
                                     {"BF16", DType::bf16}, {"F16", DType::f16},     {"I16", DType::i16}, {"I8", DType::i8},
                                     {"U8", DType::u8},     {"BOOL", DType::boolean}};

std::size_t index_of_dtype(DType dtype) {
  return static_cast<std::size_t>(
      std::find_if(std::begin(kDTypeNames), std::end(kDTypeNames), [&](const DTypeName& n) { return n.dtype == dtype; }) -
      std::begin(kDTypeNames));
}

/// Dtypes of the format without support here: only unused tensors may have them.
struct OtherDType {
  const char* name;
  std::uint64_t bits;  // of an element
};
constexpr OtherDType kOtherDTypes[] = {{"F4", 4},          {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"F8_E4M3", 8},
                                       {"F8_E4M3FNUZ", 8}, {"F8_E5M2", 8}, {"F8_E5M2FNUZ", 8}, {"F8_E8M0", 8},
                                       {"U16", 16},        {"U32", 32},    {"U64", 64},        {"C64", 64}};

const OtherDType* find_other_dtype(const std::string& name) {
  const auto* const found = std::ranges::find_if(kOtherDTypes, [&](const OtherDType& other) { return name == other.name; });
  return found == std::end(kOtherDTypes) ? nullptr : found;
}

/// Sets dtype, or other_dtype for an unsupported one. Returns the bits of an element.
std::uint64_t parse_dtype(TensorInfo& tensor, const json& name) {
  if (!name.is_string()) {
    refuse(tensor.file, "tensor " + tensor.name + " has no dtype");
  }
  const std::string text = name.get<std::string>();
  for (const DTypeName& known : kDTypeNames) {
    if (text == known.name) {
      tensor.dtype = known.dtype;
      return 8 * size_of(known.dtype);
    }
  }
  if (const OtherDType* other = find_other_dtype(text)) {
    tensor.dtype = DType::u8;
    tensor.other_dtype = text;
    return other->bits;
  }
  throw Error(ExitCode::model, tensor.file.string() + ": tensor " + tensor.name + " has the dtype " + text.substr(0, 40) +
                                   ", which safetensors does not have; save the model as BF16, F16 or F32");
}

/// A list of numbers that fit std::int64_t.
std::optional<std::vector<std::int64_t>> parse_numbers(const json& list) {
  if (!list.is_array()) {
    return std::nullopt;
  }
  std::vector<std::int64_t> numbers;
  for (const json& number : list) {
    if (!number.is_number_unsigned() || number.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) {
      return std::nullopt;
    }
    numbers.push_back(number.get<std::int64_t>());
  }
  return numbers;
}

/// Bytes of a tensor; nullopt on overflow, or if the bits are not whole bytes.
std::optional<std::uint64_t> bytes_of(const std::vector<std::int64_t>& shape, std::uint64_t bits_of_element) {
  std::uint64_t bits = bits_of_element;
  for (const std::int64_t dim : shape) {
    if (__builtin_mul_overflow(bits, static_cast<std::uint64_t>(dim), &bits)) {
      return std::nullopt;
    }
  }
  return bits % 8 == 0 ? std::optional(bits / 8) : std::nullopt;
}

std::optional<std::uint64_t> bytes_of(const std::vector<std::int64_t>& shape, DType dtype) {
  return bytes_of(shape, std::uint64_t{8} * size_of(dtype));
}

/// One entry of the header; `offset` is still relative to the data.
TensorInfo parse_tensor(const std::string& name, const json& entry, const std::filesystem::path& file) {
  if (!entry.is_object() || !entry.contains("dtype") || !entry.contains("shape") || !entry.contains("data_offsets")) {
    refuse(file, "tensor " + name + " lacks dtype, shape or data_offsets");
  }
  TensorInfo tensor;
  tensor.name = name;
  tensor.file = file;
  const std::uint64_t bits = parse_dtype(tensor, entry["dtype"]);
  const auto shape = parse_numbers(entry["shape"]);
  const auto offsets = parse_numbers(entry["data_offsets"]);
  if (!shape || shape->size() > kMaxTensorDims) {
    refuse(file, "the shape of tensor " + name + " is not a list of sizes");
  }
  if (!offsets || offsets->size() != 2 || (*offsets)[0] > (*offsets)[1]) {
    refuse(file, "data_offsets of tensor " + name + " is not a pair of rising numbers");
  }
  tensor.shape = *shape;
  tensor.offset = static_cast<std::uint64_t>((*offsets)[0]);
  tensor.bytes = static_cast<std::uint64_t>((*offsets)[1]) - tensor.offset;
  const auto bytes = bytes_of(tensor.shape, bits);
  if (!bytes || *bytes != tensor.bytes) {
    refuse(file, "tensor " + name + " has " + std::to_string(tensor.bytes) + " bytes, but its shape and dtype need " +
                     (bytes ? std::to_string(*bytes) : "more than can be counted, or no whole number of them"));
  }
  return tensor;
}

void parse_metadata(const json& entry, TensorDirectory& directory, const std::filesystem::path& file) {
  if (entry.is_null()) {
    return;
  }
  if (!entry.is_object()) {
    refuse(file, "__metadata__ is not an object");
  }
  for (const auto& [key, value] : entry.items()) {
    if (!value.is_string()) {
      refuse(file, "__metadata__ may hold text only, and " + key + " is not");
    }
    directory.metadata[key] = value.get<std::string>();
  }
}

/// Checks that the tensors are contiguous from byte 0 of the data to the end of the file.
void check_cover(std::map<std::string, TensorInfo>& tensors, std::uint64_t data_begin, std::uint64_t file_bytes,
                 const std::filesystem::path& file) {
  std::vector<TensorInfo*> by_offset;
  for (auto& [name, tensor] : tensors) {
    by_offset.push_back(&tensor);
  }
  std::ranges::sort(by_offset, {}, [](const TensorInfo* t) { return std::pair(t->offset, t->bytes); });
  std::uint64_t end = 0;
  for (TensorInfo* tensor : by_offset) {
    if (tensor->offset != end) {
      refuse(file, "tensor " + tensor->name + " begins at byte " + std::to_string(tensor->offset) + " of the data, where byte " +
                       std::to_string(end) + " was due (" + (tensor->offset < end ? "overlap" : "hole") + ")");
    }
    end += tensor->bytes;
    tensor->offset += data_begin;
  }
  const std::uint64_t data_bytes = file_bytes - data_begin;
  if (end != data_bytes) {
    refuse(file, "its tensors need " + std::to_string(end) + " bytes of data and it holds " + std::to_string(data_bytes) +
                     (end > data_bytes ? " (truncated)" : " (bytes beyond the last tensor)"));
  }
}

std::string read_header_text(const InputFile& input) {
  const std::filesystem::path& file = input.path();
  if (input.size() < 8) {
    refuse(file, "it has " + std::to_string(input.size()) + " bytes, not even the 8 of a header length");
  }
  std::uint64_t length = 0;
  input.read_at(0, std::as_writable_bytes(std::span(&length, 1)));
  if (length > kMaxHeaderBytes) {
    refuse(file, "its header claims " + std::to_string(length) + " bytes, above the format's limit of 100000000");
  }
  if (length > input.size() - 8) {
    refuse(file, "its header claims " + std::to_string(length) + " bytes and the file has " + std::to_string(input.size()) +
                     " (truncated)");
  }
  std::string text(static_cast<std::size_t>(length), '\0');
  input.read_at(8, std::as_writable_bytes(std::span(text)));
  if (!text.starts_with('{')) {
    refuse(file, "its header does not start with {");
  }
  return text;
}

}  // namespace

TensorDirectory read_safetensors_header(const std::filesystem::path& file) {
  const InputFile input(file, ExitCode::model);
  const std::string text = read_header_text(input);
  TensorDirectory directory;
  directory.files.push_back(file);
  try {
    parse_json_members(text, [&](const std::string& name, const json& entry) {
      if (name == "__metadata__") {
        parse_metadata(entry, directory, file);
      } else {
        directory.tensors.emplace(name, parse_tensor(name, entry, file));
      }
    });
  } catch (const JsonError& e) {
    refuse(file, std::string("its header is not valid JSON: ") + e.what());
  }
  check_cover(directory.tensors, 8 + text.size(), input.size(), file);
  return directory;
}

std::string dtype_text(const TensorInfo& tensor) {
  if (tensor.gguf) {
    return std::string(tensor.gguf->type->name);
  }
  return tensor.other_dtype.empty() ? std::string(name_of(tensor.dtype)) : tensor.other_dtype;
}

void read_tensor_bytes(const TensorInfo& tensor, std::uint64_t from, std::span<std::byte> out) {
  require(from <= tensor.bytes && out.size() <= tensor.bytes - from, "read_tensor_bytes: the piece lies outside the tensor");
  if (tensor.gguf) {
    read_gguf_bytes(tensor, from, out);
    return;
  }
  if (tensor.store) {
    tensor.store->read(tensor.name, from, out);
    return;
  }
  InputFile(tensor.file, ExitCode::model).read_at(tensor.offset + from, out);
}

std::string sorted_header(std::vector<TensorToWrite>& tensors, const std::map<std::string, std::string>& metadata) {
  std::ranges::sort(tensors, {}, [](const TensorToWrite& t) { return std::pair(index_of_dtype(t.dtype), t.name); });
  json notes = metadata;
  notes["format"] = "pt";
  std::string header = "{\"__metadata__\":" + notes.dump();
  std::set<std::string> names;
  std::uint64_t offset = 0;
  for (const TensorToWrite& tensor : tensors) {
    require(names.insert(tensor.name).second, "write_safetensors: a tensor is named twice");
    const std::uint64_t end = offset + bytes_of(tensor.shape, tensor.dtype).value();
    header += fmt::format(R"(,{}:{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})", json(tensor.name).dump(),
                          kDTypeNames[index_of_dtype(tensor.dtype)].name, json(tensor.shape).dump(), offset, end);
    offset = end;
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const std::uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + header;
}

void write_safetensors(const std::filesystem::path& file, std::vector<TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::string header = sorted_header(tensors, metadata);
  OutputFile out(file, ExitCode::model);
  out.write(header);
  for (const TensorToWrite& tensor : tensors) {
    require(bytes_of(tensor.shape, tensor.dtype) == tensor.bytes.size(), "write_safetensors: shape and bytes disagree");
    out.write(tensor.bytes);
  }
  out.close();
}

void write_safetensors(const std::filesystem::path& file, std::vector<TensorToWrite> tensors,
                       const std::function<std::vector<std::byte>(const TensorToWrite&)>& make) {
  const std::string header = sorted_header(tensors, {});
  OutputFile out(file, ExitCode::model);
  out.write(header);
  for (const TensorToWrite& tensor : tensors) {
    const std::vector<std::byte> bytes = make(tensor);
    require(bytes_of(tensor.shape, tensor.dtype) == bytes.size(), "write_safetensors: shape and bytes disagree");
    out.write(bytes);
  }
  out.close();
}

}  // namespace lora_dist
