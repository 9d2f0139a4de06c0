// A build without NCCL.
#include "src/comm/nccl_communicator.h"
#include "src/core/error.h"

namespace lora_dist {

std::string why_no_nccl() { return "this program was built without NCCL"; }

std::string nccl_version() { return "none"; }

std::string nccl_device_address() { return {}; }

std::unique_ptr<Communicator> make_nccl(Communicator& /*world*/, const Stream& /*stream*/) {
  throw Error(ExitCode::internal, why_no_nccl());
}

}  // namespace lora_dist
