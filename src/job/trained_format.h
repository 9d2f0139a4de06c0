// An adapter belongs to the base as it was held in training: the record in its folder against what the user asks for.
#pragma once

#include <filesystem>
#include <optional>

#include "src/base/base_format.h"
#include "src/comm/communicator.h"
#include "src/report/console.h"

namespace lora_dist {

/// recorded_base_format, as rank 0 finds it. Collective; throws Error(model) on every rank.
std::optional<BaseFormat> agreed_record(const std::filesystem::path& adapter, Communicator& world);

/// True if both are described alike: a scale for each row says nothing of blocks.
bool is_same_format(const BaseFormat& a, const BaseFormat& b);

/// The recorded format, but for what the user wrote of it. A quantization of another kind that the user wrote drops the record.
WantedFormat as_recorded(WantedFormat wanted, const std::optional<BaseFormat>& record);

/// Says that the base's quantization follows the record where the user wrote nothing, that the adapter has no record, or, as a
/// warning, that the base is quantized otherwise than in training. `held`: how it is; `adapter` empty: nothing is said.
void tell_of_record(const std::filesystem::path& adapter, const std::optional<BaseFormat>& record, const WantedFormat& wanted,
                    const BaseFormat& held, const Console& console);

}  // namespace lora_dist
