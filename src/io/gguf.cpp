// Reads the header in one pass, then checks that the tensors follow each other as the format has it.
#include "src/io/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "src/io/gguf_header.h"

namespace lora_dist {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF data is little-endian and is used as it lies in the file");

constexpr std::uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr std::uint64_t kMostTensors = 1U << 20U;
constexpr std::uint64_t kMostKeys = 1U << 16U;
constexpr std::uint64_t kMostItems = 1U << 24U;  // of a list: far above any vocabulary
constexpr std::size_t kMostName = 63;            // bytes of a tensor's name; ggml has room for no more
constexpr std::uint32_t kMostDims = 4;
constexpr std::uint64_t kMostAlignment = 1U << 20U;

enum class Kind : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, text, list, u64, i64, f64 };

/// A limit of this program's, not of the format's.
[[noreturn]] void refuse_long_gguf(const std::filesystem::path& file, const std::string& what, std::uint64_t most) {
  throw Error(ExitCode::model, fmt::format("{}: {}; at most {} are read", file.string(), what, most));
}

std::int64_t at_most_int64(std::uint64_t value) {
  return static_cast<std::int64_t>(std::min(value, static_cast<std::uint64_t>(INT64_MAX)));
}

/// A value that is no text and no list. `key`: for messages.
std::variant<bool, std::int64_t, double> take_number(GgufCursor& from, Kind kind, const std::string& key,
                                                     const std::filesystem::path& file) {
  switch (kind) {
    case Kind::u8:
      return std::int64_t{from.take<std::uint8_t>()};
    case Kind::i8:
      return std::int64_t{from.take<std::int8_t>()};
    case Kind::u16:
      return std::int64_t{from.take<std::uint16_t>()};
    case Kind::i16:
      return std::int64_t{from.take<std::int16_t>()};
    case Kind::u32:
      return std::int64_t{from.take<std::uint32_t>()};
    case Kind::i32:
      return std::int64_t{from.take<std::int32_t>()};
    case Kind::u64:
      return at_most_int64(from.take<std::uint64_t>());
    case Kind::i64:
      return from.take<std::int64_t>();
    case Kind::f32:
      return double{from.take<float>()};
    case Kind::f64:
      return from.take<double>();
    case Kind::boolean: {
      const auto byte = from.take<std::uint8_t>();
      if (byte > 1) {
        refuse_damaged_gguf(file, fmt::format("key {} has the boolean {}", key, byte));
      }
      return byte == 1;
    }
    default:
      refuse_damaged_gguf(
          file, fmt::format("key {} has the type {}, which the format does not have", key, static_cast<unsigned>(kind)));
  }
}

GgufValue take_list(GgufCursor& from, const std::string& key, const std::filesystem::path& file) {
  const auto kind = static_cast<Kind>(from.take<std::uint32_t>());
  const auto count = from.take<std::uint64_t>();
  if (kind == Kind::list) {
    refuse_malformed_gguf(file, fmt::format("key {} is a list of lists", key));
  }
  if (count > from.left()) {  // an item has at least a byte
    refuse_damaged_gguf(file, fmt::format("key {} claims a list of {} items and the file ends before (truncated)", key, count));
  }
  if (count > kMostItems) {
    refuse_long_gguf(file, fmt::format("key {} has a list of {} items", key, count), kMostItems);
  }
  std::vector<std::string> texts;
  std::vector<double> numbers;
  std::vector<std::int64_t> integers;
  for (std::uint64_t i = 0; i < count; ++i) {
    if (kind == Kind::text) {
      texts.push_back(from.text("an item of key " + key));
      continue;
    }
    const auto value = take_number(from, kind, key, file);
    if (const auto* number = std::get_if<double>(&value)) {
      numbers.push_back(*number);
    } else {
      const auto* integer = std::get_if<std::int64_t>(&value);
      integers.push_back(integer != nullptr ? *integer : std::int64_t{std::get<bool>(value)});
    }
  }
  if (kind == Kind::text) {
    return texts;
  }
  if (kind == Kind::f32 || kind == Kind::f64) {
    return numbers;
  }
  return integers;
}

void take_key(GgufCursor& from, GgufFile& out) {
  const std::string key = from.text("a key");
  const std::string shown = shown_gguf_text(key);
  const auto kind = static_cast<Kind>(from.take<std::uint32_t>());
  GgufValue value;
  if (kind == Kind::text) {
    value = from.text("key " + shown);
  } else if (kind == Kind::list) {
    value = take_list(from, shown, out.path);
  } else {
    std::visit([&](auto number) { value = number; }, take_number(from, kind, shown, out.path));
  }
  if (!out.values.emplace(key, std::move(value)).second) {
    refuse_malformed_gguf(out.path, "key " + shown + " is there twice");
  }
}

const GgmlType& type_of(std::uint32_t number, const GgufTensor& tensor, const std::filesystem::path& file) {
  const GgmlType* type = find_ggml_type(number);
  if (type == nullptr || type->bytes == 0) {
    throw Error(ExitCode::model,
                fmt::format("{}: tensor {} has the type {}, which is not read ({} are); take another quantization of the model",
                            file.string(), tensor.name, type == nullptr ? std::to_string(number) : std::string(type->name),
                            readable_ggml_types()));
  }
  return *type;
}

/// `offset` stays relative to the data for now.
GgufTensor take_tensor(GgufCursor& from, const std::filesystem::path& file) {
  GgufTensor tensor;
  tensor.file = file;
  tensor.name = from.text("the name of a tensor");
  if (tensor.name.empty() || tensor.name.size() > kMostName || tensor.name.find('\0') != std::string::npos) {
    refuse_malformed_gguf(
        file, fmt::format("a tensor's name has {} bytes or a zero in it (1 to {} are allowed)", tensor.name.size(), kMostName));
  }
  if (const std::string shown = shown_gguf_text(tensor.name); shown != tensor.name) {  // every later message may name it
    refuse_malformed_gguf(file, "the name of tensor " + shown + " is no printable ASCII");
  }
  const auto dims = from.take<std::uint32_t>();
  if (dims < 1 || dims > kMostDims) {
    refuse_malformed_gguf(file, fmt::format("tensor {} has {} dimensions (1 to {} are allowed)", tensor.name, dims, kMostDims));
  }
  std::uint64_t elements = 1;
  for (std::uint32_t i = 0; i < dims; ++i) {
    const auto size = from.take<std::uint64_t>();
    if (size == 0 || size > static_cast<std::uint64_t>(INT64_MAX) || __builtin_mul_overflow(elements, size, &elements)) {
      refuse_malformed_gguf(file, fmt::format("tensor {} has a dimension of {}, or too many elements", tensor.name, size));
    }
    tensor.shape.insert(tensor.shape.begin(), static_cast<std::int64_t>(size));
  }
  tensor.type = &type_of(from.take<std::uint32_t>(), tensor, file);
  const auto values = static_cast<std::uint64_t>(tensor.type->values);
  if (tensor.shape.back() % tensor.type->values != 0 ||
      __builtin_mul_overflow(elements / values, static_cast<std::uint64_t>(tensor.type->bytes), &tensor.bytes) ||
      elements > static_cast<std::uint64_t>(INT64_MAX) / 8) {
    refuse_malformed_gguf(
        file, fmt::format("tensor {} has rows of {} values, which are no whole blocks of {} ({}), or too many of them",
                          tensor.name, tensor.shape.back(), values, tensor.type->name));
  }
  tensor.offset = from.take<std::uint64_t>();
  return tensor;
}

std::uint64_t padded(std::uint64_t bytes, std::uint64_t alignment) { return (bytes + alignment - 1) / alignment * alignment; }

std::uint64_t alignment_of(const GgufFile& file) {
  const std::int64_t alignment = file.integer("general.alignment").value_or(32);
  if (alignment < 1 || static_cast<std::uint64_t>(alignment) > kMostAlignment ||
      !std::has_single_bit(static_cast<std::uint64_t>(alignment))) {
    refuse_malformed_gguf(file.path,
                          fmt::format("general.alignment is {}, and must be a power of two up to {}", alignment, kMostAlignment));
  }
  return static_cast<std::uint64_t>(alignment);
}

/// Tensors follow each other, each padded to the alignment, and end within the file.
void place_tensors(std::vector<GgufTensor>& tensors, std::uint64_t header, std::uint64_t file_bytes, GgufFile& out) {
  const std::uint64_t alignment = alignment_of(out);
  const std::uint64_t begin = padded(header, alignment);
  std::uint64_t due = 0;
  std::uint64_t end = begin;
  for (GgufTensor& tensor : tensors) {
    if (tensor.offset != due) {
      refuse_malformed_gguf(out.path, fmt::format("tensor {} begins at byte {} of the data, where byte {} was due", tensor.name,
                                                  tensor.offset, due));
    }
    if (begin > file_bytes || due > file_bytes - begin || tensor.bytes > file_bytes - begin - due) {
      refuse_damaged_gguf(out.path, fmt::format("tensor {} needs {} bytes and the file ends before (truncated; it has {} bytes)",
                                                tensor.name, tensor.bytes, file_bytes));
    }
    tensor.offset = begin + due;
    end = tensor.offset + tensor.bytes;
    due = padded(due + tensor.bytes, alignment);
  }
  if (file_bytes > padded(end, alignment)) {
    out.warnings.push_back(fmt::format("{} has {} bytes beyond its last tensor, which are not read", out.path.string(),
                                       file_bytes - padded(end, alignment)));
  }
}

void check_beginning(GgufCursor& from, const std::filesystem::path& file) {
  if (from.left() < 4 || from.take<std::uint32_t>() != kMagic) {
    refuse_damaged_gguf(file, "it does not begin with GGUF");
  }
  const auto version = from.take<std::uint32_t>();
  if ((version & 0xFFFFU) == 0) {
    throw Error(ExitCode::model, file.string() + ": this GGUF file is big-endian, which is not read; take the little-endian one");
  }
  if (version != 2 && version != 3) {
    throw Error(ExitCode::model, fmt::format("{}: this GGUF file has version {} of the format; 2 and 3 are read: convert the "
                                             "model again with a current llama.cpp",
                                             file.string(), version));
  }
}

void check_counts(const std::filesystem::path& path, std::uint64_t tensors, std::uint64_t keys, std::uint64_t left) {
  constexpr std::uint64_t kLeastTensor = 33;  // bytes of a name of one, one dimension, type and offset
  constexpr std::uint64_t kLeastKey = 13;     // bytes of an empty name, type and value
  if (tensors > left / kLeastTensor || keys > left / kLeastKey) {
    refuse_damaged_gguf(path,
                        fmt::format("it claims {} tensors and {} keys and the file ends before (truncated)", tensors, keys));
  }
  if (tensors > kMostTensors) {
    refuse_long_gguf(path, fmt::format("it has {} tensors", tensors), kMostTensors);
  }
  if (keys > kMostKeys) {
    refuse_long_gguf(path, fmt::format("it has {} keys", keys), kMostKeys);
  }
}

template <class T>
const T* value_of(const GgufFile& file, const std::string& key, const char* kind) {
  const auto found = file.values.find(key);
  if (found == file.values.end()) {
    return nullptr;
  }
  const T* value = std::get_if<T>(&found->second);
  if (value == nullptr) {
    file.fail(fmt::format("key {} must be {}; convert the model again", shown_gguf_text(key), kind));
  }
  return value;
}

template <class T>
std::optional<T> copy_of(const T* value) {
  return value == nullptr ? std::nullopt : std::optional<T>(*value);
}

}  // namespace

void refuse_damaged_gguf(const std::filesystem::path& file, const std::string& what) {
  throw Error(ExitCode::model, file.string() + " is not a sound GGUF file: " + what + "; copy or download it again");
}

void refuse_malformed_gguf(const std::filesystem::path& file, const std::string& what) {
  throw Error(ExitCode::model, file.string() + " is not a sound GGUF file: " + what + "; convert the model again");
}

std::string shown_gguf_text(std::string_view text) {
  constexpr std::size_t kMostShown = 100;
  std::string out;
  for (const char c : text.substr(0, kMostShown)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7F) {
      out += c;
    } else if (byte < 0x80) {
      out += fmt::format("\\u{:04X}", unsigned{byte});
    } else {
      out += fmt::format("\\x{:02X}", unsigned{byte});
    }
  }
  return out;
}

bool has_gguf_ending(const std::filesystem::path& file) {
  std::string ending = file.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
  return ending == ".gguf";
}

std::int64_t GgufTensor::elements() const {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) {
    count *= size;
  }
  return count;
}

void GgufFile::fail(const std::string& what) const { throw Error(ExitCode::model, path.string() + ": " + what); }

const std::string* GgufFile::text(const std::string& key) const { return value_of<std::string>(*this, key, "a text"); }
const std::vector<std::string>* GgufFile::texts(const std::string& key) const {
  return value_of<std::vector<std::string>>(*this, key, "a list of texts");
}
const std::vector<std::int64_t>* GgufFile::integers(const std::string& key) const {
  return value_of<std::vector<std::int64_t>>(*this, key, "a list of integers");
}
const std::vector<double>* GgufFile::numbers(const std::string& key) const {
  return value_of<std::vector<double>>(*this, key, "a list of numbers");
}
std::optional<std::int64_t> GgufFile::integer(const std::string& key) const {
  return copy_of(value_of<std::int64_t>(*this, key, "an integer"));
}
std::optional<double> GgufFile::number(const std::string& key) const {
  const std::optional<double> value = copy_of(value_of<double>(*this, key, "a number"));
  if (value && !std::isfinite(*value)) {
    fail(fmt::format("{} is {}, and must be a finite number; convert the model again", key, *value));
  }
  return value;
}
std::optional<bool> GgufFile::flag(const std::string& key) const { return copy_of(value_of<bool>(*this, key, "true or false")); }

GgufFile read_gguf_part(const std::filesystem::path& path) {
  const InputFile input(path, ExitCode::model);
  GgufCursor from(input);
  check_beginning(from, path);
  const auto tensor_count = from.take<std::uint64_t>();
  const auto key_count = from.take<std::uint64_t>();
  check_counts(path, tensor_count, key_count, from.left());
  GgufFile out;
  out.path = path;
  out.parts = {path};
  for (std::uint64_t i = 0; i < key_count; ++i) {
    take_key(from, out);
  }
  std::vector<GgufTensor> tensors;
  for (std::uint64_t i = 0; i < tensor_count; ++i) {
    tensors.push_back(take_tensor(from, path));
  }
  place_tensors(tensors, from.position(), input.size(), out);
  for (GgufTensor& tensor : tensors) {
    const std::string name = tensor.name;
    if (!out.tensors.emplace(name, std::move(tensor)).second) {
      refuse_malformed_gguf(path, "tensor " + name + " is there twice");
    }
  }
  return out;
}

}  // namespace lora_dist
