// A build without NCCL.
#include "src/comm/nccl_communicator.h"
#include "src/core/error.h"

namespace lora_dist {

bool nccl_is_built_in() { return false; }

std::string nccl_version() { return "none"; }

std::string nccl_device_address() { return {}; }

std::unique_ptr<Communicator> make_nccl(Communicator& /*world*/, const Stream& /*stream*/) {
  throw Error(ExitCode::internal, "this program was built without NCCL");
}

}  // namespace lora_dist
