// An adapter belongs to the base format of its training: compares the record in its folder with the requested format.
#pragma once

#include <filesystem>
#include <optional>

#include "src/base/base_format.h"
#include "src/comm/communicator.h"
#include "src/report/console.h"

namespace lora_dist {

/// recorded_base_format of rank 0. Collective; throws Error(model) on every rank.
std::optional<BaseFormat> agreed_record(const std::filesystem::path& adapter, Communicator& world);

/// True if the formats are equal; block sizes are ignored for formats with one scale per row.
bool is_same_format(const BaseFormat& a, const BaseFormat& b);

/// The recorded format, except for the values that the user wrote. Another quantization written by the user drops the record.
WantedFormat as_recorded(WantedFormat wanted, const std::optional<BaseFormat>& record);

/// Prints that the base's quantization follows the record (if the user wrote none), that the adapter has no record, or, as a
/// warning, that the quantization differs from training. `held`: the base's format; empty `adapter`: prints nothing.
void tell_of_record(const std::filesystem::path& adapter, const std::optional<BaseFormat>& record, const WantedFormat& wanted,
                    const BaseFormat& held, const Console& console);

}  // namespace lora_dist
