// MPI return codes -> Error(communication).
#include "src/comm/mpi_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

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
      ErrorScope::consequence);
}

void wait_for_messages(std::span<MPI_Request> requests, const char* what) {
  std::vector<MPI_Status> statuses(requests.size());
  int code = MPI_Waitall(static_cast<int>(requests.size()), requests.data(), statuses.data());
  if (code == MPI_ERR_IN_STATUS) {
    const auto failed = std::find_if(statuses.begin(), statuses.end(), [](const MPI_Status& status) {
      return status.MPI_ERROR != MPI_SUCCESS && status.MPI_ERROR != MPI_ERR_PENDING;
    });
    code = failed == statuses.end() ? code : failed->MPI_ERROR;
  }
  check_mpi(code, what);
}

}  // namespace lora_dist
