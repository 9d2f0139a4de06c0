// A communicator for device memory over one for host memory, by copies through pinned buffers.
#pragma once

#include <memory>

#include "kernels/common/stream.h"
#include "src/comm/communicator.h"

namespace lora_dist {

/// Spans are memory of `stream`'s backend; results are ready in stream order. Unlike NCCL, it allows ranks to share a device.
/// Takes ownership of `host`, which counts the bytes. On a CPU stream copies are memcpy.
std::unique_ptr<Communicator> make_host_staged(std::unique_ptr<Communicator> host, const Stream& stream);

}  // namespace lora_dist
