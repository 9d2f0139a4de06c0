// The tokens of a dataset as one run of bytes, the same in memory, on the wire and in a file:
//   header | a SampleRecord per sample, in the order of ids | all ids (int32) | all labels (int32) | the files' reports (JSON)
// in the machine's own byte order. A sample's tokens lie behind those of the sample before it.
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
  std::int64_t id = 0;   // as Sample::id
  std::int64_t row = 0;  // as Sample::row
  std::int32_t file = 0;
  std::int32_t tokens = 0;
};

/// What some or all rows of the files became, dropped ones left out.
struct TokenizedRows {
  std::vector<SampleRecord> samples;  // ids rise
  std::vector<std::int32_t> input_ids, labels;
  std::vector<FileReport> files;  // train, then validation; rows are those of the whole file, dropped and truncated of these rows
};

/// The same, seen in an image.
struct TokenImage {
  std::string key;  // 64 digits, or empty
  std::span<const SampleRecord> samples;
  std::span<const std::int32_t> input_ids, labels;
  std::vector<FileReport> files;  // without paths
};

TokenImage view_of(const TokenizedRows& rows);

/// One image of parts that hold different rows of the same files; the same bytes however the rows were divided. `key`: 64 digits,
/// or empty. Throws Error(data) where the parts do not come from the same files.
std::vector<std::byte> make_token_image(std::span<const TokenImage> parts, const std::string& key);

/// Checks sizes, versions and every length. Throws Error(data) with what is wrong ("it is cut off").
TokenImage read_token_image(std::span<const std::byte> bytes);

/// Of an image with a key: false where any bit is not what make_token_image wrote.
bool has_right_digest(std::span<const std::byte> bytes);

/// Owns an image: in memory, or in a file that the processes of a machine share.
using TokenStore = std::variant<std::vector<std::byte>, MappedFile>;

std::span<const std::byte> bytes_of(const TokenStore& store);

}  // namespace lora_dist
