// Converts any exception to an Error.
#include "src/core/error_of.h"

#include <fmt/format.h>

#include <cerrno>
#include <exception>
#include <new>
#include <system_error>

#include "kernels/common/device.h"
#include "src/core/memory_report.h"

namespace lora_dist {

namespace {

Error internal(const std::exception& error) {
  return Error(ExitCode::internal, fmt::format("internal error, a mistake in the program: {}", error.what()));
}

/// Limits and full disks are no mistakes of the program.
Error from_system(const std::system_error& error) {
  switch (error.code().value()) {
    case EAGAIN:
    case ENOMEM:
      return Error(ExitCode::out_of_memory,
                   fmt::format("no memory or no further thread for this process: {}; raise its limits (ulimit -v, ulimit -u, the "
                               "container's), or lower OMP_NUM_THREADS",
                               error.what()));
    case ENOSPC:
    case EDQUOT:
      return Error(ExitCode::model, fmt::format("{}; free some space", error.what()));
    default:
      return internal(error);
  }
}

}  // namespace

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
  } catch (const std::system_error& error) {
    return from_system(error);
  } catch (const std::exception& error) {
    return internal(error);
  }
}

}  // namespace lora_dist
