// MPI return codes -> Error(communication).
#pragma once

#include <mpi.h>

#include <span>

namespace lora_dist {

/// Throws Error(communication) naming `what` and MPI's own reason unless `code` is MPI_SUCCESS.
void check_mpi(int code, const char* what);
/// Waits for all requests. Throws the reason of the first failed message, without waiting for the rest.
void wait_for_messages(std::span<MPI_Request> requests, const char* what);

}  // namespace lora_dist
