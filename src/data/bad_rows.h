// How many rows may be left out (data.bad_rows = "skip").
#pragma once

#include <cstdint>
#include <span>

#include "src/data/report.h"

namespace lora_dist {

/// Rows that are left out of these files.
std::int64_t count_bad_rows(std::span<const FileReport> files);

/// Throws Error(data), with the first of them, where they are more than `most` (0: no limit): then the files are at fault.
void check_bad_rows(std::span<const FileReport> files, std::int64_t most);

}  // namespace lora_dist
