// MPI return codes -> Error(communication).
#pragma once

namespace lora_dist {

/// Throws Error(communication) naming `what` and MPI's own reason unless `code` is MPI_SUCCESS.
void check_mpi(int code, const char* what);

}  // namespace lora_dist
