// MPI return codes -> Error(communication).
#pragma once

#include <mpi.h>

#include <span>

namespace lora_dist {

/// Throws Error(communication) naming `what` and MPI's own reason unless `code` is MPI_SUCCESS.
void check_mpi(int code, const char* what);
/// Waits for all of them. The reason thrown is that of the first message that failed; what is under way then is not waited for.
void wait_for_messages(std::span<MPI_Request> requests, const char* what);

}  // namespace lora_dist
