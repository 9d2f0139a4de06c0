// Chooses the backend together with all ranks, takes the device, and makes the communicator between devices.
#include "src/job/device.h"

#include <fmt/format.h>

#include <array>

#include "src/comm/agree.h"
#include "src/comm/data_plane.h"
#include "src/comm/watched.h"
#include "src/core/error.h"

namespace lora_dist {

namespace {

/// True if every rank has a usable device: a mesh of CPUs and GPUs would not give one model.
bool every_rank_has_a_device(const ProcessInfo& process, Communicator& world, const Console& console) {
  std::array<std::int64_t, 1> devices = {device_count()};
  world.all_reduce(devices, Reduce::min, WireKind::control);
  if (devices[0] == 0) {
    return false;
  }
  std::string mine;
  run_together(world, [&] {
    try {
      use_device(process.node_rank % device_count());
    } catch (const DeviceError& error) {
      if (error.problem() != DeviceProblem::no_code_for_chip) {
        throw;
      }
      mine = error.what();
    }
  });
  for (const std::string& problem : all_gather_strings(world, mine)) {
    if (!problem.empty()) {
      console.warn(fmt::format("the GPUs are left alone and the CPU computes: {}", problem));
      return false;
    }
  }
  return true;
}

/// The device of this rank: ranks of a node take its devices round-robin.
DeviceInfo take_device(const ProcessInfo& process) {
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

/// The error for a backend that cannot compute in the checkpoint's dtype.
[[noreturn]] void refuse_checkpoint_dtype(DType dtype, const std::string& why, const std::string& instead) {
  throw Error(ExitCode::usage,
              fmt::format("the checkpoint to go on from was trained with model.compute_dtype = \"{}\", and {}; go on {}, or set "
                          "checkpoint.resume = \"never\" or another output.dir to start anew",
                          name_of_compute(dtype), why, instead));
}

DType dtype_on_cpu(const DeviceChoice& choice) {
  const std::optional<DType> asked = choice.compute_dtype;
  if (!asked && choice.checkpoint_dtype.value_or(DType::f32) != DType::f32) {
    refuse_checkpoint_dtype(*choice.checkpoint_dtype, "the CPU computes in fp32", "on GPUs (parallel.backend = \"cuda\")");
  }
  if (asked.value_or(DType::f32) != DType::f32) {
    throw Error(ExitCode::usage,
                fmt::format("model.compute_dtype = \"{}\" needs a GPU (parallel.backend = \"cuda\"); on the CPU products "
                            "are computed in fp32: use \"auto\" or \"fp32\"",
                            name_of_compute(*asked)));
  }
  return DType::f32;
}

/// `bf16`: every rank's device supports it. All ranks of a job compute in one dtype.
DType dtype_on_device(const DeviceChoice& choice, const DeviceInfo& device, bool bf16) {
  const bool kept = !choice.compute_dtype && choice.checkpoint_dtype;
  const std::optional<DType> asked = kept ? choice.checkpoint_dtype : choice.compute_dtype;
  if (kept && asked == DType::bf16 && !bf16) {
    refuse_checkpoint_dtype(*asked, fmt::format("not every GPU here has bf16 (this is a {})", device.name),
                            "on GPUs that have it");
  }
  if (asked == DType::f32) {
    return DType::f32;
  }
  if (asked == DType::bf16 && !device.has_bf16()) {
    throw Error(ExitCode::usage,
                fmt::format("model.compute_dtype = \"bf16\": {} (compute capability {}.{}) has no bf16; use \"auto\" or "
                            "\"fp16\"",
                            device.name, device.capability / 10, device.capability % 10));
  }
  if (asked == DType::f16) {
    return DType::f16;
  }
  return bf16 ? DType::bf16 : DType::f16;
}

}  // namespace

Device::~Device() {
  data.reset();  // destroys its stream and staging memory before the device's stream
  destroy_device_stream(stream);
}

std::string Device::description() const {
  if (!gpu) {
    return fmt::format("fp32 on the CPU, {} thread{} each", stream.threads, stream.threads == 1 ? "" : "s");
  }
  return fmt::format("{} on {}", name_of_compute(dtype), gpu->name);
}

std::string name_of_compute(DType dtype) { return std::string(word_of(kComputeDtypes, std::optional(dtype))); }

std::unique_ptr<Device> choose_device(const DeviceChoice& choice, const ProcessInfo& process, Communicator& world,
                                      const Console& console) {
  auto device = std::make_unique<Device>();
  const bool cuda = choice.backend == Backend::cuda || (!choice.backend && every_rank_has_a_device(process, world, console));
  run_together(world, [&] {
    if (cuda) {
      device->gpu = take_device(process);
      device->stream = make_device_stream();
    } else {
      device->dtype = dtype_on_cpu(choice);
      if (choice.communicator == CommunicatorKind::nccl) {
        throw Error(ExitCode::usage, "parallel.communicator = \"nccl\" needs GPUs; on CPUs use \"mpi\" or \"auto\"");
      }
    }
  });
  if (cuda) {
    std::array<std::int64_t, 1> bf16 = {device->gpu->has_bf16() ? 1 : 0};
    world.all_reduce(bf16, Reduce::min, WireKind::control);
    run_together(world, [&] { device->dtype = dtype_on_device(choice, *device->gpu, bf16[0] == 1); });
    const DType usual = bf16[0] == 1 ? DType::bf16 : DType::f16;
    if (!choice.compute_dtype && device->dtype != usual) {
      console.line(
          fmt::format("note: model.compute_dtype stays {}, in which the checkpoint was trained; \"auto\" would be {} here",
                      name_of_compute(device->dtype), name_of_compute(usual)));
    }
  }
  device->stream.threads = threads_per_rank(process);
  if (cuda) {
    device->data = watch_device_collectives(make_data_plane(world, choice.communicator, device->stream), world);
  }
  return device;
}

}  // namespace lora_dist
