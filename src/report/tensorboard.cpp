// TensorBoard event files. The three messages need little of protocol buffers, so it is written out here: a field is a key
// (number << 3 | wire type) and a varint (0), eight bytes (1), a length with that many bytes (2) or four bytes (5).
#include "src/report/tensorboard.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <chrono>
#include <cstring>
#include <system_error>

#include "src/comm/process.h"
#include "src/io/file.h"

namespace lora_dist {

namespace {

static_assert(std::endian::native == std::endian::little, "numbers are written as they lie in memory");

constexpr std::string_view kFilePrefix = "events.out.tfevents.";

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  constexpr std::uint32_t reflected_polynomial = 0x82f63b78U;
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? reflected_polynomial : 0U);
    }
    table[byte] = crc;
  }
  return table;
}

template <class T>
std::string raw_bytes(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80U; value >>= 7U) {
    bytes += static_cast<char>((value & 0x7fU) | 0x80U);
  }
  return bytes + static_cast<char>(value);
}

std::string varint_field(unsigned number, std::uint64_t value) { return varint(number << 3U) + varint(value); }
std::string double_field(unsigned number, double value) { return varint(number << 3U | 1U) + raw_bytes(value); }
std::string float_field(unsigned number, float value) { return varint(number << 3U | 5U) + raw_bytes(value); }
std::string bytes_field(unsigned number, std::string_view value) {
  return varint(number << 3U | 2U) + varint(value.size()) + std::string(value);
}

double seconds_since_1970() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

/// Readers take the files of a folder in the order of their names, so the newest needs the largest number.
std::int64_t next_file_seconds(const std::filesystem::path& dir) {
  auto seconds = static_cast<std::int64_t>(seconds_since_1970());
  std::error_code unreadable;  // then only the clock decides
  for (const auto& entry : std::filesystem::directory_iterator(dir, unreadable)) {
    const std::string name = entry.path().filename().string();
    std::int64_t theirs = 0;
    if (name.starts_with(kFilePrefix)) {
      std::from_chars(name.data() + kFilePrefix.size(), name.data() + name.size(), theirs);
    }
    constexpr std::int64_t ten_digits = 9'999'999'999;
    if (theirs < ten_digits) {
      seconds = std::max(seconds, theirs + 1);
    }
  }
  return seconds;
}

std::filesystem::path new_file_in(const std::filesystem::path& dir) {
  make_output_directory(dir, "output.dir");
  return dir / fmt::format("{}{:010}.{}.{}", kFilePrefix, next_file_seconds(dir), host_name(), getpid());
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  static constexpr std::array<std::uint32_t, 256> table = make_crc_table();
  std::uint32_t crc = 0xffffffffU;
  for (const char byte : bytes) {
    crc = table[(crc ^ static_cast<unsigned char>(byte)) & 0xffU] ^ (crc >> 8U);
  }
  return crc ^ 0xffffffffU;
}

std::uint32_t masked_crc32c(std::string_view bytes) { return std::rotr(crc32c(bytes), 15) + 0xa282ead8U; }

std::string tfrecord(std::string_view payload) {
  const std::string length = raw_bytes(static_cast<std::uint64_t>(payload.size()));
  return length + raw_bytes(masked_crc32c(length)) + std::string(payload) + raw_bytes(masked_crc32c(payload));
}

std::string file_version_event(double wall_time) { return double_field(1, wall_time) + bytes_field(3, "brain.Event:2"); }

std::string session_start_event(double wall_time, std::int64_t step) {
  constexpr unsigned start = 1;
  return double_field(1, wall_time) + varint_field(2, static_cast<std::uint64_t>(step)) + bytes_field(7, varint_field(1, start));
}

std::string scalars_event(double wall_time, std::int64_t step, std::span<const Scalar> scalars) {
  std::string summary;
  for (const Scalar& scalar : scalars) {
    summary += bytes_field(1, bytes_field(1, scalar.tag) + float_field(2, static_cast<float>(scalar.value)));
  }
  return double_field(1, wall_time) + varint_field(2, static_cast<std::uint64_t>(step)) + bytes_field(5, summary);
}

TensorBoardWriter::TensorBoardWriter(const std::filesystem::path& dir, std::int64_t keep_through_step)
    : file_(new_file_in(dir), "output.dir") {
  const double now = seconds_since_1970();
  file_.append(tfrecord(file_version_event(now)));
  file_.append(tfrecord(session_start_event(now, keep_through_step + 1)));
}

void TensorBoardWriter::add_scalars(std::int64_t step, std::span<const Scalar> scalars) {
  file_.append(tfrecord(scalars_event(seconds_since_1970(), step, scalars)));
}

}  // namespace lora_dist
