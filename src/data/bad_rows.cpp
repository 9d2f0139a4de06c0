// The message has no count, since a rank stops once its own rows exceed the limit.
#include "src/data/bad_rows.h"

#include <algorithm>
#include <string>

#include "src/core/error.h"
#include "src/data/containers.h"

namespace lora_dist {

std::int64_t count_bad_rows(std::span<const FileReport> files) {
  std::int64_t out = 0;
  for (const FileReport& file : files) {
    out += static_cast<std::int64_t>(file.bad_rows.size());
  }
  return out;
}

void check_bad_rows(std::span<const FileReport> files, std::int64_t most) {
  if (most <= 0 || count_bad_rows(files) <= most) {
    return;
  }
  const auto first = std::find_if(files.begin(), files.end(), [](const FileReport& file) { return !file.bad_rows.empty(); });
  const BadRow& bad = first->bad_rows.front();
  throw Error(ExitCode::data, "more rows are bad than data.max_bad_rows = " + std::to_string(most) + " allows; one of them is " +
                                  location_in(first->path, first->container, bad.row) + ": " + bad.reason +
                                  ". Fix the files, or raise the limit (0: none)");
}

}  // namespace lora_dist
