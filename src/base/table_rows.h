// Rows of the embedding and the head as the model's files hold them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "src/base/index_range.h"
#include "src/io/safetensors.h"
#include "src/model/model_config.h"

namespace lora_dist {

/// f32 [rows, hidden] of the table `name` (TensorNames). Rows that the files lack (ModelSpec::added_rows) are the mean of all
/// that they have. Throws Error(model).
std::vector<float> table_rows(const ModelSpec& model, const TensorDirectory& directory, std::string_view name, IndexRange rows);

/// The rows of these ids: f32 [ids, hidden]. Throws as table_rows.
std::vector<float> table_rows_of(const ModelSpec& model, const TensorDirectory& directory, std::string_view name,
                                 std::span<const std::int32_t> ids);

}  // namespace lora_dist
