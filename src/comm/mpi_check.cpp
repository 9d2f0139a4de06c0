// MPI return codes -> Error(communication).
#include "src/comm/mpi_check.h"

#include <fmt/format.h>
#include <mpi.h>

#include <array>

#include "src/core/error.h"

namespace lora_dist {

void check_mpi(int code, const char* what) {
  if (code == MPI_SUCCESS) {
    return;
  }
  std::array<char, MPI_MAX_ERROR_STRING> reason{};
  int length = 0;
  MPI_Error_string(code, reason.data(), &length);
  throw Error(
      ExitCode::communication,
      fmt::format("MPI {} failed: {}; a rank or the network may be lost: see the other ranks' messages, then run the same "
                  "command again to go on from the last checkpoint",
                  what, reason.data()),
      Noticed::as_a_consequence);
}

}  // namespace lora_dist
