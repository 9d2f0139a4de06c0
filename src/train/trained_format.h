// An adapter belongs to the base as it was held in training: the record in its folder against what the user asks for.
#pragma once

#include <filesystem>
#include <optional>

#include "src/model/base_format.h"
#include "src/train/console.h"

namespace lora_dist {

bool is_same_format(const BaseFormat& a, const BaseFormat& b);

/// The recorded format, but for what the user wrote of it. A quantization of another kind that the user wrote drops the record.
WantedFormat as_recorded(WantedFormat wanted, const std::optional<BaseFormat>& record);

/// Says that the base is held as recorded where the user wrote nothing, that the adapter has no record, or, as a warning, that
/// the base is held otherwise than in training. `held`: how it is; `adapter` empty: nothing is said.
void tell_of_record(const std::filesystem::path& adapter, const std::optional<BaseFormat>& record, const WantedFormat& wanted,
                    const BaseFormat& held, const Console& console);

}  // namespace lora_dist
