// GGUF files that tests need, right or wrong.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lora_dist::test {

template <class T>
std::string bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

inline std::string gguf_text(std::string_view text) { return bytes_of(std::uint64_t{text.size()}) + std::string(text); }

/// Puts a file together; what was added wrongly stays so.
struct GgufWriter {
  std::string keys;
  std::string infos;
  std::string data;
  std::uint64_t key_count = 0;
  std::uint64_t tensor_count = 0;

  /// Any value, already in the format's bytes.
  void raw_key(std::string_view name, std::uint32_t type, const std::string& value) {
    keys += gguf_text(name) + bytes_of(type) + value;
    ++key_count;
  }
  void number(std::string_view name, std::uint32_t value) { raw_key(name, 4, bytes_of(value)); }
  void real(std::string_view name, float value) { raw_key(name, 6, bytes_of(value)); }
  void flag(std::string_view name, bool value) { raw_key(name, 7, std::string(1, value ? '\1' : '\0')); }
  void text(std::string_view name, std::string_view value) { raw_key(name, 8, gguf_text(value)); }
  void texts(std::string_view name, const std::vector<std::string>& values) {
    std::string items;
    for (const std::string& value : values) {
      items += gguf_text(value);
    }
    raw_key(name, 9, bytes_of(std::uint32_t{8}) + bytes_of(std::uint64_t{values.size()}) + items);
  }
  template <class T>
  void list(std::string_view name, std::uint32_t type, const std::vector<T>& values) {
    std::string items;
    for (const T& value : values) {
      items += bytes_of(value);
    }
    raw_key(name, 9, bytes_of(type) + bytes_of(std::uint64_t{values.size()}) + items);
  }

  /// `sizes`: the rows' length first.
  void tensor(std::string_view name, const std::vector<std::uint64_t>& sizes, std::uint32_t type, const std::string& bytes) {
    infos += gguf_text(name) + bytes_of(static_cast<std::uint32_t>(sizes.size()));
    for (const std::uint64_t size : sizes) {
      infos += bytes_of(size);
    }
    infos += bytes_of(type) + bytes_of(std::uint64_t{data.size()});
    data += bytes;
    data.resize((data.size() + 31) / 32 * 32, '\0');
    ++tensor_count;
  }

  std::string content() const {
    std::string out = "GGUF" + bytes_of(std::uint32_t{3}) + bytes_of(tensor_count) + bytes_of(key_count) + keys + infos;
    out.resize((out.size() + 31) / 32 * 32, '\0');
    return out + data;
  }
};

}  // namespace lora_dist::test
