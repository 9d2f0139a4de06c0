// Any exception as the one that users see.
#pragma once

#include <functional>
#include <optional>

#include "src/core/error.h"

namespace lora_dist {

/// What `work` throws, as an Error: std::bad_alloc is out_of_memory, DeviceError that or
/// communication (the exit code of a broken GPU), anything else that is not an Error is internal.
std::optional<Error> error_of(const std::function<void()>& work);

}  // namespace lora_dist
