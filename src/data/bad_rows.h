// The limit on skipped rows (data.bad_rows = "skip").
#pragma once

#include <cstdint>
#include <span>

#include "src/data/report.h"

namespace lora_dist {

/// The number of skipped rows of these files.
std::int64_t count_bad_rows(std::span<const FileReport> files);

/// Throws Error(data), quoting the first, if there are more than `most` (0: no limit).
void check_bad_rows(std::span<const FileReport> files, std::int64_t most);

}  // namespace lora_dist
