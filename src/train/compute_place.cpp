// Chooses the backend together with all ranks, takes the device, and makes what moves data between ranks.
#include "src/train/compute_place.h"

#include <fmt/format.h>

#include <array>

#include "src/comm/agree.h"
#include "src/comm/data_plane.h"
#include "src/core/error.h"

namespace lora_dist {

namespace {

/// True when every rank sees a device: a mesh of CPUs and GPUs would not give one model.
bool every_rank_sees_a_device(Communicator& world) {
  std::array<std::int64_t, 1> devices = {device_count()};
  world.all_reduce(devices, Reduce::min, WireKind::control);
  return devices[0] > 0;
}

/// The device of this rank: ranks of a node take its devices in turn.
DeviceInfo take_device(const ProcessPlace& process) {
  try {
    const int count = device_count();
    if (count == 0) {
      throw DeviceError(DeviceProblem::no_device, why_no_device());
    }
    return use_device(process.node_rank % count);
  } catch (const DeviceError& error) {
    if (error.problem() == DeviceProblem::out_of_memory) {
      throw;
    }
    throw Error(ExitCode::communication,
                fmt::format("parallel.backend = \"cuda\": {}; or set parallel.backend = \"cpu\"", error.what()));
  }
}

DType dtype_on_cpu(const std::string& asked) {
  if (asked != "auto" && asked != "fp32") {
    throw Error(ExitCode::usage,
                fmt::format("model.compute_dtype = \"{}\" needs a GPU (parallel.backend = \"cuda\"); on the CPU products "
                            "are computed in fp32: use \"auto\" or \"fp32\"",
                            asked));
  }
  return DType::f32;
}

/// `bf16`: every rank's device has it. One job computes in one type.
DType dtype_on_device(const std::string& asked, const DeviceInfo& device, bool bf16) {
  if (asked == "fp32") {
    return DType::f32;
  }
  if (asked == "bf16" && !device.has_bf16()) {
    throw Error(ExitCode::usage,
                fmt::format("model.compute_dtype = \"bf16\": {} (compute capability {}.{}) has no bf16; use \"auto\" or "
                            "\"fp16\"",
                            device.name, device.capability / 10, device.capability % 10));
  }
  if (asked == "fp16") {
    return DType::f16;
  }
  return bf16 ? DType::bf16 : DType::f16;
}

}  // namespace

ComputePlace::~ComputePlace() {
  data.reset();  // its own stream and staging memory go before the device's stream
  destroy_device_stream(stream);
}

std::string ComputePlace::description() const {
  if (!device) {
    return fmt::format("fp32 on the CPU, {} thread{} each", stream.threads, stream.threads == 1 ? "" : "s");
  }
  const char* type = dtype == DType::f32 ? "fp32" : dtype == DType::bf16 ? "bf16" : "fp16";
  return fmt::format("{} on {}", type, device->name);
}

std::unique_ptr<ComputePlace> choose_compute_place(const ComputeChoice& choice, const ProcessPlace& process,
                                                   Communicator& world) {
  auto place = std::make_unique<ComputePlace>();
  const bool cuda = choice.backend == "cuda" || (choice.backend == "auto" && every_rank_sees_a_device(world));
  run_together(world, [&] {
    if (cuda) {
      place->device = take_device(process);
      place->stream = make_device_stream();
    } else {
      place->dtype = dtype_on_cpu(choice.compute_dtype);
      if (choice.communicator == "nccl") {
        throw Error(ExitCode::usage, "parallel.communicator = \"nccl\" needs GPUs; on CPUs use \"mpi\" or \"auto\"");
      }
    }
  });
  if (cuda) {
    std::array<std::int64_t, 1> bf16 = {place->device->has_bf16() ? 1 : 0};
    world.all_reduce(bf16, Reduce::min, WireKind::control);
    run_together(world, [&] { place->dtype = dtype_on_device(choice.compute_dtype, *place->device, bf16[0] == 1); });
  }
  place->stream.threads = threads_per_rank(process);
  if (cuda) {
    place->data = make_data_plane(world, choice.communicator, process, place->stream);
  }
  return place;
}

}  // namespace lora_dist
