// Reads pieces of a table.
#include "src/base/table_rows.h"

#include <algorithm>
#include <functional>
#include <string>

#include "src/base/weight_source.h"
#include "src/model/tensor_table.h"

namespace lora_dist {

namespace {

constexpr std::int64_t kRowsAtATime = 1024;

/// In fp64, row by row.
std::vector<float> mean_row(const WeightSource& table, std::int64_t rows, std::int64_t width) {
  std::vector<double> sums(static_cast<std::size_t>(width));
  std::vector<float> values;
  std::vector<std::byte> raw;
  for (std::int64_t first = 0; first < rows; first += kRowsAtATime) {
    values.resize(static_cast<std::size_t>(std::min(kRowsAtATime, rows - first) * width));
    read_as_f32(table, first * width, values, raw, Stream{});
    for (std::size_t i = 0; i < values.size(); ++i) {
      sums[i % sums.size()] += static_cast<double>(values[i]);
    }
  }
  std::vector<float> mean(sums.size());
  std::ranges::transform(sums, mean.begin(), [&](double sum) { return static_cast<float>(sum / static_cast<double>(rows)); });
  return mean;
}

}  // namespace

std::vector<float> table_rows(const ModelSpec& model, const TensorDirectory& directory, std::string_view name, IndexRange rows) {
  const std::int64_t width = model.hidden;
  const std::int64_t in_files = model.vocab_of_files();
  const WeightSource table{&find_tensor(model, directory, {std::string(name) + ".weight", {in_files, width}})};
  std::vector<float> values(static_cast<std::size_t>(rows.size() * width));
  const std::int64_t present = std::clamp(in_files - rows.begin, std::int64_t{0}, rows.size());
  std::vector<std::byte> raw;
  if (present > 0) {
    read_as_f32(table, rows.begin * width, std::span(values).first(static_cast<std::size_t>(present * width)), raw, Stream{});
  }
  if (present < rows.size()) {
    const std::vector<float> mean = mean_row(table, in_files, width);
    for (std::int64_t row = present; row < rows.size(); ++row) {
      std::ranges::copy(mean, values.begin() + row * width);
    }
  }
  return values;
}

std::vector<float> table_rows_of(const ModelSpec& model, const TensorDirectory& directory, std::string_view name,
                                 std::span<const std::int32_t> ids) {
  std::vector<float> values;
  std::vector<float> mean;  // the same for all that the files lack
  for (const std::int32_t id : ids) {
    const bool is_new = id >= model.vocab_of_files();
    const std::vector<float> row = is_new && !mean.empty() ? mean : table_rows(model, directory, name, {id, id + 1});
    if (is_new) {
      mean = row;
    }
    values.insert(values.end(), row.begin(), row.end());
  }
  return values;
}

}  // namespace lora_dist
