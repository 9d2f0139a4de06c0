// A communicator for device memory over one for host memory: copies through pinned buffers on the way.
#pragma once

#include <memory>

#include "kernels/common/stream.h"
#include "src/comm/communicator.h"

namespace lora_dist {

/// Spans are memory of `stream`'s backend; results are there in stream order. It lets ranks share a device, which NCCL does not.
/// Takes `host` over; byte counts are the host communicator's. On a CPU stream copies are memcpy.
std::unique_ptr<Communicator> make_host_staged(std::unique_ptr<Communicator> host, const Stream& stream);

}  // namespace lora_dist
