// The tokens of a dataset as one byte image, the same in memory, on the wire and in a file:
//   header | a SampleRecord per sample, in the order of ids | all ids (int32) | all labels (int32) | the files' reports (JSON)
// in native byte order. The tokens of consecutive samples are contiguous.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "src/data/report.h"
#include "src/io/mapped_file.h"

namespace lora_dist {

struct SampleRecord {
  std::int64_t id = 0;   // like Sample::id
  std::int64_t row = 0;  // like Sample::row
  std::int32_t file = 0;
  std::int32_t tokens = 0;
};

/// The samples of some or all rows, without dropped rows.
struct TokenizedRows {
  std::vector<SampleRecord> samples;  // by increasing id
  std::vector<std::int32_t> input_ids, labels;
  std::vector<FileReport>
      files;  // train, then validation; `rows` counts the whole file, `dropped` and `truncated` only these rows
};

/// A view of the same in an image.
struct TokenImage {
  std::string key;  // 64 digits, or empty
  std::span<const SampleRecord> samples;
  std::span<const std::int32_t> input_ids, labels;
  std::vector<FileReport> files;  // without paths
};

TokenImage view_of(const TokenizedRows& rows);

/// Joins parts with different rows of the same files into one image, whose bytes do not depend on the division. `key`: 64 digits,
/// or empty. Throws Error(data) if the parts have different files.
std::vector<std::byte> make_token_image(std::span<const TokenImage> parts, const std::string& key);

/// Checks sizes, versions and every length. Throws Error(data) with the reason ("it is cut off").
TokenImage read_token_image(std::span<const std::byte> bytes);

/// Verifies the SHA-256 of an image with a key.
bool has_right_digest(std::span<const std::byte> bytes);

/// Owns an image in memory, or in a mapped file shared by the processes of a machine.
using TokenStore = std::variant<std::vector<std::byte>, MappedFile>;

std::span<const std::byte> bytes_of(const TokenStore& store);

}  // namespace lora_dist
