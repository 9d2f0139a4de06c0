// Converts any exception to an Error.
#include "src/core/error_of.h"

#include <fmt/format.h>

#include <exception>
#include <new>

#include "kernels/common/device.h"
#include "src/core/memory_report.h"

namespace lora_dist {

std::optional<Error> error_of(const std::function<void()>& work) {
  try {
    work();
    return std::nullopt;
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return Error(ExitCode::out_of_memory, fmt::format("out of memory; use {}", kMemoryAdvice));
  } catch (const DeviceError& error) {
    const bool memory = error.problem() == DeviceProblem::out_of_memory;
    return Error(memory ? ExitCode::out_of_memory : ExitCode::communication,
                 memory ? fmt::format("{}; use {}", error.what(), kMemoryAdvice) : error.what());
  } catch (const std::exception& error) {
    return Error(ExitCode::internal, fmt::format("internal error, a mistake in the program: {}", error.what()));
  }
}

}  // namespace lora_dist
