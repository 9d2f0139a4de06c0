// The header is small and made at once; the data is written from front to back.
#include "src/io/write_gguf.h"

#include <fmt/format.h>

#include <ranges>
#include <set>
#include <system_error>

#include "kernels/common/check.h"
#include "src/core/activity.h"
#include "src/core/error.h"
#include "src/core/stop_request.h"
#include "src/io/file.h"

namespace lora_dist {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr std::uint32_t kVersion = 3;
constexpr std::uint64_t kAlignment = 32;  // general.alignment's default
constexpr std::size_t kMostName = 63;     // bytes of a tensor's name; ggml has room for no more

/// Types of values in the format.
enum class Kind : std::uint32_t { u32 = 4, i32 = 5, f32 = 6, boolean = 7, text = 8, list = 9 };

std::uint64_t padding_of(std::uint64_t bytes) { return (kAlignment - bytes % kAlignment) % kAlignment; }

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
void put_text(std::string& out, const std::string& text) {
  put(out, static_cast<std::uint64_t>(text.size()));
  out += text;
}
void put_kind(std::string& out, Kind kind) { put(out, static_cast<std::uint32_t>(kind)); }
void put_list(std::string& out, Kind items, std::size_t count) {
  put_kind(out, Kind::list);
  put_kind(out, items);
  put(out, static_cast<std::uint64_t>(count));
}

/// A key's type and value.
struct PutValue {
  std::string& out;

  void operator()(std::uint32_t value) const {
    put_kind(out, Kind::u32);
    put(out, value);
  }
  void operator()(float value) const {
    put_kind(out, Kind::f32);
    put(out, value);
  }
  void operator()(bool value) const {
    put_kind(out, Kind::boolean);
    put(out, static_cast<std::uint8_t>(value));
  }
  void operator()(const std::string& value) const {
    put_kind(out, Kind::text);
    put_text(out, value);
  }
  void operator()(const std::vector<std::string>& list) const {
    put_list(out, Kind::text, list.size());
    for (const std::string& item : list) {
      put_text(out, item);
    }
  }
  void operator()(const std::vector<float>& list) const {
    put_list(out, Kind::f32, list.size());
    for (const float item : list) {
      put(out, item);
    }
  }
  void operator()(const std::vector<std::int32_t>& list) const {
    put_list(out, Kind::i32, list.size());
    for (const std::int32_t item : list) {
      put(out, item);
    }
  }
  void operator()(const GgufFlags& list) const {
    put_list(out, Kind::boolean, list.flags.size());
    for (const bool item : list.flags) {
      put(out, static_cast<std::uint8_t>(item));
    }
  }
};

struct IsEmptyList {
  template <class T>
  bool operator()(const std::vector<T>& list) const {
    return list.empty();
  }
  bool operator()(const GgufFlags& list) const { return list.flags.empty(); }
  template <class T>
  bool operator()(const T& /*value*/) const {
    return false;
  }
};

void check_names(const fs::path& file, const std::vector<GgufKey>& keys, const std::vector<GgufTensorToWrite>& tensors) {
  std::set<std::string> names;
  for (const GgufKey& key : keys) {
    require(names.insert(key.name).second, "write_gguf: a key is there twice");
  }
  names.clear();
  for (const GgufTensorToWrite& tensor : tensors) {
    if (tensor.name.empty() || tensor.name.size() > kMostName || !names.insert(tensor.name).second) {
      throw Error(ExitCode::model, fmt::format("{}: the tensor name {} is there twice, or has not 1 to {} bytes, as the format "
                                               "demands; this model cannot be a GGUF file",
                                               file.string(), tensor.name, kMostName));
    }
  }
}

/// All before the data, padded.
std::string header_of(const std::vector<GgufKey>& keys, const std::vector<GgufTensorToWrite>& tensors) {
  std::string body;
  std::uint64_t written = 0;
  for (const GgufKey& key : keys) {
    if (!std::visit(IsEmptyList{}, key.value)) {
      put_text(body, key.name);
      std::visit(PutValue{body}, key.value);
      ++written;
    }
  }
  std::uint64_t offset = 0;
  for (const GgufTensorToWrite& tensor : tensors) {
    put_text(body, tensor.name);
    put(body, static_cast<std::uint32_t>(tensor.shape.size()));
    for (const std::int64_t size : tensor.shape | std::views::reverse) {
      put(body, static_cast<std::uint64_t>(size));
    }
    put(body, tensor.type->number);
    put(body, offset);
    offset += tensor.bytes() + padding_of(tensor.bytes());
  }
  std::string out;
  put(out, kMagic);
  put(out, kVersion);
  put(out, static_cast<std::uint64_t>(tensors.size()));
  put(out, written);
  out += body;
  out.append(padding_of(out.size()), '\0');
  return out;
}

void write_tensor(OutputFile& out, const GgufTensorToWrite& tensor, std::span<const std::byte> bytes) {
  require(bytes.size() == tensor.bytes(), "write_gguf: a tensor has the bytes of its shape and type");
  out.write(bytes);
  out.write(std::string(padding_of(bytes.size()), '\0'));
}

}  // namespace

std::int64_t GgufTensorToWrite::elements() const {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) {
    count *= size;
  }
  return count;
}

std::uint64_t GgufTensorToWrite::bytes() const {
  require(!shape.empty() && shape.back() % type->values == 0, "write_gguf: rows are whole blocks");
  return static_cast<std::uint64_t>(elements() / type->values * type->bytes);
}

void write_gguf(const fs::path& file, const std::vector<GgufKey>& keys, const std::vector<GgufTensorToWrite>& tensors,
                const std::function<std::vector<std::byte>(const GgufTensorToWrite&)>& make) {
  check_names(file, keys, tensors);
  OutputFile out(file, ExitCode::model);
  out.write(header_of(keys, tensors));
  for (const GgufTensorToWrite& tensor : tensors) {
    write_tensor(out, tensor, make(tensor));
    heartbeat();
    stop_if_requested();
  }
  out.close();
}

void write_gguf_header(const fs::path& file, const std::vector<GgufKey>& keys, const std::vector<GgufTensorToWrite>& tensors,
                       std::span<const std::vector<std::byte>> given) {
  check_names(file, keys, tensors);
  const std::string header = header_of(keys, tensors);
  std::uint64_t size = header.size();
  OutputFile out(file, ExitCode::model);
  out.write(header);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (i < given.size()) {
      write_tensor(out, tensors[i], given[i]);
    }
    size += tensors[i].bytes() + padding_of(tensors[i].bytes());
  }
  out.close();
  std::error_code problem;
  fs::resize_file(file, size, problem);
  if (problem) {
    throw Error(ExitCode::model, system_error_text("write", file, problem.value()));
  }
}

}  // namespace lora_dist
