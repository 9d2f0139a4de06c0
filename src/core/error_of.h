// Converts any exception to an Error.
#pragma once

#include <functional>
#include <optional>

#include "src/core/error.h"

namespace lora_dist {

/// The exception that `work` throws, as an Error: std::bad_alloc becomes out_of_memory, DeviceError out_of_memory or
/// communication (the exit code of a broken GPU), std::system_error by its number: a resource limit out_of_memory, a full disk
/// model; other exceptions internal.
std::optional<Error> error_of(const std::function<void()>& work);

}  // namespace lora_dist
